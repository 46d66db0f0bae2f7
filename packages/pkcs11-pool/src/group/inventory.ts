import type { ClientCore } from '../client-core.js'
import { attributeType, decodeAttribute, packTemplate } from '../pkcs11/templates.js'
import type { ObjectHandle } from '../session/arguments.js'
import { describeId, isKeyClass, type KeyClass } from '../session/key-reference.js'
import { find } from '../session/objects.js'
import { checkValues, type SecretKey } from './check-values.js'
import type { KeyDifference } from './divergence.js'

/** What is compared, by what it is called: public or a checksum, never a value. */
const COMPARED = {
  keyType: 'CKA_KEY_TYPE',
  sizeBits: 'CKA_VALUE_LEN',
  checkValue: 'CKA_CHECK_VALUE',
  modulus: 'CKA_MODULUS',
  curve: 'CKA_EC_PARAMS',
  point: 'CKA_EC_POINT',
} as const satisfies Partial<Record<KeyDifference, string>>

/** What is compared of two keys. */
export type ComparedName = keyof typeof COMPARED
export const COMPARED_NAMES = Object.keys(COMPARED) as ComparedName[]

/** Those of which two keys that agree in one are the same key. */
export const IDENTIFYING_NAMES: readonly ComparedName[] = ['checkValue', 'modulus', 'point']

/** A key as it is compared: undefined where the token has no such attribute, or does not tell. */
export interface ListedKey {
  readonly class: KeyClass
  readonly label: string
  readonly id: string
  readonly compared: Readonly<Record<ComparedName, string | undefined>>
}

const TYPES = [
  'CKA_CLASS',
  'CKA_LABEL',
  'CKA_ID',
  'CKA_ENCRYPT',
  ...COMPARED_NAMES.map((name) => COMPARED[name]),
] as const
const TYPE_NUMBERS = TYPES.map(attributeType)
const COMPARED_AT = 4

/** All keys of a token: in one hop, and where it tells no check values, in one more for each few hundred of its secret keys. */
export function listKeys({ operations }: ClientCore): Promise<ListedKey[]> {
  return operations.withSession({}, async (context) => {
    const found = await find(context, packTemplate({ CKA_TOKEN: true }), TYPE_NUMBERS)
    const keys = found.flatMap(([handle, values]) => listed(handle, values) ?? [])
    const computed = await checkValues(
      context,
      keys.flatMap(({ unproven }) => unproven ?? []),
    )
    return keys.map(({ handle, key }) => {
      const checkValue = computed.get(handle)
      return checkValue === undefined ? key : { ...key, compared: { ...key.compared, checkValue } }
    })
  })
}

interface Found {
  readonly handle: ObjectHandle
  readonly key: ListedKey
  /** set where its check value could be had from a use of it */
  readonly unproven: SecretKey | undefined
}

function listed(handle: ObjectHandle, values: readonly (Buffer | null)[]): Found | undefined {
  const [objectClass = null, label = null, id = null, encrypts = null] = values
  const keyClass = decodeAttribute('CKA_CLASS', objectClass)
  if (!isKeyClass(keyClass)) return undefined
  const compared = Object.fromEntries(
    COMPARED_NAMES.map((name, at) => [name, told(name, values[COMPARED_AT + at])]),
  ) as ListedKey['compared']
  const key = {
    class: keyClass,
    label: decodeAttribute('CKA_LABEL', label) ?? '',
    id: describeId(id ?? Buffer.alloc(0)),
    compared,
  }
  const isOpen = keyClass === 'CKO_SECRET_KEY' && compared.checkValue === undefined
  const keyType = decodeAttribute('CKA_KEY_TYPE', values[COMPARED_AT + COMPARED_NAMES.indexOf('keyType')] ?? null)
  const isUsable = isOpen && decodeAttribute('CKA_ENCRYPT', encrypts) === true
  return { handle, key, unproven: isUsable ? { handle, keyType } : undefined }
}

/** Nothing, too, where a token answers with no bytes, or as openCryptoki of a generic secret that its length is 0. */
function told(name: ComparedName, value: Buffer | null | undefined): string | undefined {
  const saysNothing = value === undefined || value === null || value.length === 0
  return saysNothing || (name === 'sizeBits' && value.every((byte) => byte === 0)) ? undefined : value.toString('hex')
}
