import { Pkcs11PoolError } from '../errors.js'
import { attributeType, decodeAttribute, packTemplate, type Template } from '../pkcs11/templates.js'
import type { ObjectHandle } from './arguments.js'
import type { CallContext } from './call-context.js'
import {
  describeId,
  describeReference,
  isKeyClass,
  type Key,
  type KeyReference,
  type KeyUse,
  referenceTemplate,
  serves,
} from './key-reference.js'
import { find, readAttributes } from './objects.js'

const READ = [
  'CKA_CLASS',
  'CKA_KEY_TYPE',
  'CKA_LABEL',
  'CKA_ID',
  'CKA_VALUE_LEN',
  'CKA_MODULUS_BITS',
  'CKA_PRIVATE',
  'CKA_ALWAYS_AUTHENTICATE',
] as const
const READ_TYPES = READ.map(attributeType)

/** Of keys that clash, how many are named. */
const MOST_NAMED = 16

/** The key that a handle is of; undefined for an object that is no key. */
export async function readKey(context: CallContext, handle: ObjectHandle): Promise<Key | undefined> {
  return noted(context, toKey(handle, await readAttributes(context, handle, READ_TYPES)))
}

/** All keys that match a template, with what tells them apart, in one hop. */
export async function findKeys(context: CallContext, filter: Template): Promise<Key[]> {
  const found = await find(context, packTemplate(filter), READ_TYPES)
  return found.flatMap(([handle, values]) => noted(context, toKey(handle, values)) ?? [])
}

/**
 * The one key that a reference means.
 *
 * @throws KEY_NOT_FOUND, KEY_AMBIGUOUS naming those that match
 */
export async function findKey(
  context: CallContext,
  reference: KeyReference,
  use: KeyUse = 'any',
  extra: Template = {},
): Promise<Key> {
  const filter = { ...referenceTemplate(reference), ...extra }
  // All of them: certificates and other objects may have the label too, any number before the key or a second one.
  const keys = (await findKeys(context, filter)).filter((key) => serves(use, key.class))
  const [key] = keys
  if (key === undefined) {
    throw new Pkcs11PoolError(
      'KEY_NOT_FOUND',
      `no ${describeReference(reference)} on the token${use === 'any' ? '' : ` that can serve as a ${use} or secret key`}; ` +
        'check label, id, class and private',
    )
  }
  if (keys.length > 1) {
    const named = keys.slice(0, MOST_NAMED).map(describeKey).join('; ')
    const more = keys.length > MOST_NAMED ? `; and ${keys.length - MOST_NAMED} more` : ''
    throw new Pkcs11PoolError(
      'KEY_AMBIGUOUS',
      `more than one ${describeReference(reference)}: ${named}${more}. add id or class to the reference`,
    )
  }
  return key
}

/** Whoever uses the key knows its handle only. */
function noted(context: CallContext, key: Key | undefined): Key | undefined {
  if (key !== undefined) context.login.noteKey(key.handle, key.alwaysAuthenticate)
  return key
}

function describeKey(key: Key): string {
  return `${key.class} label ${JSON.stringify(key.label)} id ${describeId(key.id)}`
}

function toKey(handle: ObjectHandle, values: (Buffer | null)[]): Key | undefined {
  const at = <N extends (typeof READ)[number]>(name: N) => decodeAttribute(name, values[READ.indexOf(name)] ?? null)
  const keyClass = at('CKA_CLASS')
  if (!isKeyClass(keyClass)) return undefined
  const bytes = at('CKA_VALUE_LEN')
  const keyType = at('CKA_KEY_TYPE')
  return {
    handle,
    class: keyClass,
    label: at('CKA_LABEL') ?? '',
    id: at('CKA_ID') ?? Buffer.alloc(0),
    keyType: keyType === undefined ? undefined : String(keyType),
    private: at('CKA_PRIVATE'),
    alwaysAuthenticate: at('CKA_ALWAYS_AUTHENTICATE') === true,
    sizeBits: bytes === undefined ? at('CKA_MODULUS_BITS') : bytes * 8,
  }
}
