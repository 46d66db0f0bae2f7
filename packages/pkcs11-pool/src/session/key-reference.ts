import { Pkcs11PoolError } from '../errors.js'
import type { Template } from '../pkcs11/templates.js'
import type { ObjectHandle } from './arguments.js'

const KEY_CLASSES = ['CKO_SECRET_KEY', 'CKO_PRIVATE_KEY', 'CKO_PUBLIC_KEY'] as const

/** The object classes that are keys. */
export type KeyClass = (typeof KEY_CLASSES)[number]

/** Which key is meant: everything that is given must match, and at least label or id is given. */
export interface KeyReference {
  label?: string | undefined
  /** CKA_ID; an integer means its 4 bytes, big-endian */
  id?: Uint8Array | number | undefined
  /** Without it, a key pair's half is chosen by what is done with it: the private one signs, the public one verifies. */
  class?: KeyClass | undefined
  /**
   * CKA_PRIVATE: `true` takes only keys that are private objects, `false` only others. An object that is not private can be put on a
   * token by whoever reaches it without its PIN (PKCS#11 2.40 section 4.4).
   *
   * @defaultValue either
   */
  private?: boolean | undefined
}

/** A key that was found. */
export interface Key {
  readonly handle: ObjectHandle
  readonly class: KeyClass
  readonly label: string
  readonly id: Buffer
  /** such as `CKK_AES`; undefined where the token does not tell */
  readonly keyType: string | undefined
  /** CKA_VALUE_LEN in bits, or CKA_MODULUS_BITS; undefined for keys that have neither */
  readonly sizeBits: number | undefined
  /** CKA_PRIVATE: whether a login is needed to see it, and was to make it; undefined where that is not known */
  readonly private: boolean | undefined
  /** CKA_ALWAYS_AUTHENTICATE: the token wants the PIN for each use; it is sent by itself, one use after the other */
  readonly alwaysAuthenticate: boolean
}

/** What a key is wanted for: of a pair, `private` takes the private half and `public` the public one; `any` does not choose. */
export type KeyUse = 'private' | 'public' | 'any'

/** Whether a key of a class can serve. */
export function serves(use: KeyUse, keyClass: KeyClass): boolean {
  if (use === 'any' || keyClass === 'CKO_SECRET_KEY') return true
  return keyClass === (use === 'private' ? 'CKO_PRIVATE_KEY' : 'CKO_PUBLIC_KEY')
}

export function isKeyClass(value: unknown): value is KeyClass {
  return (KEY_CLASSES as readonly unknown[]).includes(value)
}

/**
 * A copy of a reference that its caller cannot change any more.
 *
 * @throws INVALID_ARGUMENT for a reference that names nothing, or has a member of the wrong type or name
 */
export function captureReference(reference: KeyReference): KeyReference {
  checkReference(reference)
  const { label, id, class: keyClass, private: isPrivate } = reference
  return { label, id: typeof id === 'object' ? Buffer.from(id) : id, class: keyClass, private: isPrivate }
}

/** The same of a filter, which may name nothing and then means every key. @throws INVALID_ARGUMENT */
export function captureFilter(filter: KeyReference): KeyReference {
  const namesNothing =
    typeof filter === 'object' && filter !== null && filter.label === undefined && filter.id === undefined
  if (!namesNothing) return captureReference(filter)
  checkReference({ ...filter, label: '' })
  return { class: filter.class, private: filter.private }
}

function checkReference(reference: KeyReference): void {
  if (typeof reference !== 'object' || reference === null) {
    throw invalid(
      `a key reference is of type ${reference === null ? 'null' : typeof reference}; expected { label, id, class, private }`,
    )
  }
  for (const name in reference) {
    if (!MEMBERS.has(name)) {
      throw invalid(`a key reference has no "${name}"; expected { label, id, class, private }`)
    }
  }
  const { label, id } = reference
  if (label === undefined && id === undefined)
    throw invalid('a key reference names neither label nor id; expected at least one')
  if (label !== undefined && typeof label !== 'string')
    throw invalid(`a key's label is of type ${typeof label}; expected a string`)
  if (id !== undefined) checkId(id)
  if (reference.class !== undefined && !isKeyClass(reference.class)) {
    throw invalid(`a key's class is ${JSON.stringify(reference.class)}; expected one of ${KEY_CLASSES.join(', ')}`)
  }
  if (reference.private !== undefined && typeof reference.private !== 'boolean')
    throw invalid(`a key's private is of type ${typeof reference.private}; expected true or false`)
}

const MEMBERS: ReadonlySet<string> = new Set(['label', 'id', 'class', 'private'])

function checkId(id: Uint8Array | number): void {
  if (id instanceof Uint8Array) return
  if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id <= 0xffff_ffff) return
  const got = typeof id === 'number' ? String(id) : `of type ${typeof id}`
  throw invalid(`a key's id is ${got}; expected a Uint8Array, or an integer from 0 to 4294967295 for its 4 bytes`)
}

/** CKA_ID as bytes. */
export function idBytes(id: Uint8Array | number): Buffer {
  if (typeof id !== 'number') return Buffer.from(id)
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(id)
  return bytes
}

/** The attributes that a key of the reference has. */
export function referenceTemplate(reference: KeyReference): Template {
  const template: Template = {}
  if (reference.label !== undefined) template.CKA_LABEL = reference.label
  if (reference.id !== undefined) template.CKA_ID = idBytes(reference.id)
  if (reference.class !== undefined) template.CKA_CLASS = reference.class
  if (reference.private !== undefined) template.CKA_PRIVATE = reference.private
  return template
}

/** Whether a key is one that the reference means. */
export function matches(reference: KeyReference, key: Key): boolean {
  if (reference.label !== undefined && reference.label !== key.label) return false
  if (reference.class !== undefined && reference.class !== key.class) return false
  if (reference.private !== undefined && reference.private !== key.private) return false
  return reference.id === undefined || idBytes(reference.id).equals(key.id)
}

/** A reference in words, for messages. */
export function describeReference(reference: KeyReference): string {
  const parts: string[] = []
  if (reference.label !== undefined) parts.push(`label ${JSON.stringify(reference.label)}`)
  if (reference.id !== undefined)
    parts.push(`id ${typeof reference.id === 'number' ? reference.id : describeId(reference.id)}`)
  if (reference.class !== undefined) parts.push(reference.class)
  if (reference.private !== undefined) parts.push(reference.private ? 'private' : 'not private')
  return `key with ${parts.join(', ')}`
}

export function describeId(id: Uint8Array): string {
  return id.length === 0 ? '(empty)' : `0x${Buffer.from(id).toString('hex')}`
}

function invalid(message: string): Pkcs11PoolError {
  return new Pkcs11PoolError('INVALID_ARGUMENT', message)
}
