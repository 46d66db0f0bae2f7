import type { ClientCore } from '../client-core.js'
import { attributeType, decodeAttribute, packTemplate } from '../pkcs11/templates.js'
import { describeId, isKeyClass, type KeyClass } from '../session/key-reference.js'
import { find } from '../session/objects.js'
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

/** A key as it is compared: undefined where the token has no such attribute, or does not tell. */
export interface ListedKey {
  readonly class: KeyClass
  readonly label: string
  readonly id: string
  readonly compared: Readonly<Record<ComparedName, string | undefined>>
}

const TYPES = ['CKA_CLASS', 'CKA_LABEL', 'CKA_ID', ...COMPARED_NAMES.map((name) => COMPARED[name])] as const
const TYPE_NUMBERS = TYPES.map(attributeType)
const NAMES_AT = 3

/** How many objects of a token are listed. */
const MOST_LISTED = 100_000

/** All keys of a token, in one hop. */
export async function listKeys({ operations }: ClientCore): Promise<ListedKey[]> {
  const found = await operations.withSession({}, (context) =>
    find(context, packTemplate({ CKA_TOKEN: true }), MOST_LISTED, TYPE_NUMBERS),
  )
  return found.flatMap(([, values]) => listed(values) ?? [])
}

function listed(values: readonly (Buffer | null)[]): ListedKey | undefined {
  const [objectClass = null, label = null, id = null] = values
  const keyClass = decodeAttribute('CKA_CLASS', objectClass)
  if (!isKeyClass(keyClass)) return undefined
  const compared = COMPARED_NAMES.map((name, at) => [name, values[NAMES_AT + at]?.toString('hex')] as const)
  return {
    class: keyClass,
    label: decodeAttribute('CKA_LABEL', label) ?? '',
    id: describeId(id ?? Buffer.alloc(0)),
    compared: Object.fromEntries(compared) as ListedKey['compared'],
  }
}
