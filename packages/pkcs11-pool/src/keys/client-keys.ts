import { Pkcs11PoolError } from '../errors.js'
import type { Mechanism } from '../pkcs11/mechanisms.js'
import type { Template } from '../pkcs11/templates.js'
import type { ObjectHandle } from '../session/arguments.js'
import type { CallContext, OperationOptions } from '../session/call-context.js'
import { findKey, findKeys } from '../session/find-key.js'
import {
  checkReference,
  describeReference,
  idBytes,
  isKeyClass,
  type Key,
  type KeyClass,
  type KeyReference,
  type KeyUse,
  referenceTemplate,
} from '../session/key-reference.js'
import { deriveKey, generateKey, generateKeyPair, unwrapKey, wrapKey } from '../session/keys.js'
import { createObject, destroyObject, setAttributes } from '../session/objects.js'
import { cacheName, type HandleCache } from './handle-cache.js'

/** A key pair that was generated. */
export interface KeyPair {
  publicKey: Key
  privateKey: Key
}

/** How the keys reach a session; the client's own operations. */
export interface KeySessions {
  withSession<R>(
    options: OperationOptions,
    call: (context: CallContext) => Promise<R>,
    about?: () => string,
  ): Promise<R>
  withKey<R>(
    reference: KeyReference,
    use: KeyUse,
    options: OperationOptions,
    call: (context: CallContext, handle: ObjectHandle) => Promise<R>,
  ): Promise<R>
}

/**
 * The keys on the token. Only token objects: a session object would die with a pooled session that nobody chose; use `withSession`
 * for those. What makes, changes or destroys a key is sent once: after a timeout the outcome is unknown, and the error says so.
 */
export class ClientKeys {
  readonly #sessions: KeySessions
  readonly #cache: HandleCache

  constructor(sessions: KeySessions, cache: HandleCache) {
    this.#sessions = sessions
    this.#cache = cache
  }

  /**
   * All keys that match: a reference whose members are all optional, `{}` for every key.
   *
   * @example
   * ```ts
   * for (const key of await client.keys.find({ label: 'k4' })) console.log(key.id, key.keyType)
   * ```
   */
  find(filter: KeyReference = {}, options: OperationOptions = {}): Promise<Key[]> {
    return this.#sessions.withSession(options, (context) => {
      if (filter.label !== undefined || filter.id !== undefined) checkReference(filter)
      else checkReference({ ...filter, label: '' })
      return findKeys(context, { ...referenceTemplate(filter), CKA_TOKEN: true })
    })
  }

  /** The one key that a reference means, from the token. @throws KEY_NOT_FOUND, KEY_AMBIGUOUS */
  get(reference: KeyReference, options: OperationOptions = {}): Promise<Key> {
    return this.#sessions.withSession(options, (context) => findKey(context, reference, 'any', { CKA_TOKEN: true }))
  }

  /** C_GenerateKey of a token object. */
  generate(mechanism: Mechanism, template: Template, options: OperationOptions = {}): Promise<Key> {
    return this.#make(template, 'CKO_SECRET_KEY', options, (context) => generateKey(context, mechanism, template))
  }

  /** C_GenerateKeyPair, both halves token objects. */
  async generatePair(
    mechanism: Mechanism,
    publicTemplate: Template,
    privateTemplate: Template,
    options: OperationOptions = {},
  ): Promise<KeyPair> {
    requireTokenObject(publicTemplate)
    requireTokenObject(privateTemplate)
    try {
      const pair = await this.#sessions.withSession(options, (context) =>
        generateKeyPair(context, mechanism, publicTemplate, privateTemplate),
      )
      return {
        publicKey: describe(pair.publicKey, publicTemplate, 'CKO_PUBLIC_KEY'),
        privateKey: describe(pair.privateKey, privateTemplate, 'CKO_PRIVATE_KEY'),
      }
    } finally {
      this.#came(publicTemplate)
      this.#came(privateTemplate)
    }
  }

  /** C_CreateObject of a token object whose value is in the template. */
  import(template: Template, options: OperationOptions = {}): Promise<Key> {
    return this.#make(template, 'CKO_SECRET_KEY', options, (context) => createObject(context, template))
  }

  /** C_SetAttributeValue on the one key that a reference means. */
  async update(reference: KeyReference, template: Template, options: OperationOptions = {}): Promise<void> {
    try {
      await this.#onFound(reference, options, (context, handle) => setAttributes(context, handle, template))
    } finally {
      this.#cache.clear()
    }
  }

  /** C_DestroyObject on the one key that a reference means, looked up afresh. */
  destroy(reference: KeyReference, options: OperationOptions = {}): Promise<void> {
    return this.#onFound(reference, options, async (context, handle) => {
      try {
        await destroyObject(context, handle)
      } finally {
        this.#cache.forgetHandle(handle)
      }
    })
  }

  /** C_WrapKey: `key` encrypted under `wrappingKey`. */
  wrap(
    mechanism: Mechanism,
    wrappingKey: KeyReference,
    key: KeyReference,
    options: OperationOptions = {},
  ): Promise<Buffer> {
    return this.#sessions.withKey(wrappingKey, 'public', options, async (context, wrapping) => {
      // A public key is no secret: what is wrapped is a secret or private one.
      const wrapped = await findKey(context, key, 'private', { CKA_TOKEN: true })
      return wrapKey(context, mechanism, wrapping, wrapped.handle)
    })
  }

  /** C_UnwrapKey into a token object. */
  unwrap(
    mechanism: Mechanism,
    unwrappingKey: KeyReference,
    wrapped: Uint8Array,
    template: Template,
    options: OperationOptions = {},
  ): Promise<Key> {
    return this.#makeWith(unwrappingKey, template, options, (context, handle) =>
      unwrapKey(context, mechanism, handle, wrapped, template),
    )
  }

  /** C_DeriveKey into a token object. */
  derive(
    mechanism: Mechanism,
    baseKey: KeyReference,
    template: Template,
    options: OperationOptions = {},
  ): Promise<Key> {
    return this.#makeWith(baseKey, template, options, (context, handle) =>
      deriveKey(context, mechanism, handle, template),
    )
  }

  /** Forgets the cached handle of a reference, or of all: for when another process has changed keys. */
  forget(reference?: KeyReference): void {
    if (reference === undefined) {
      this.#cache.clear()
      return
    }
    checkReference(reference)
    for (const use of ['private', 'public', 'any'] as const) this.#cache.forget(cacheName(reference, use))
  }

  /** Finds the key in the same session and hop by hop, never from the cache: what changes a key must not hit another. */
  #onFound<R>(
    reference: KeyReference,
    options: OperationOptions,
    call: (context: CallContext, handle: ObjectHandle) => Promise<R>,
  ): Promise<R> {
    return this.#sessions.withSession(
      options,
      async (context) => {
        const key = await findKey(context, reference, 'any', { CKA_TOKEN: true })
        return call(context, key.handle)
      },
      () => describeReference(reference),
    )
  }

  async #make(
    template: Template,
    otherwise: KeyClass,
    options: OperationOptions,
    call: (context: CallContext) => Promise<ObjectHandle>,
  ): Promise<Key> {
    requireTokenObject(template)
    try {
      const handle = await this.#sessions.withSession(options, call, () => describeTemplate(template))
      return describe(handle, template, otherwise)
    } finally {
      this.#came(template)
    }
  }

  async #makeWith(
    reference: KeyReference,
    template: Template,
    options: OperationOptions,
    call: (context: CallContext, handle: ObjectHandle) => Promise<ObjectHandle>,
  ): Promise<Key> {
    requireTokenObject(template)
    try {
      const handle = await this.#sessions.withKey(reference, 'private', options, call)
      return describe(handle, template, 'CKO_SECRET_KEY')
    } finally {
      this.#came(template)
    }
  }

  /** Also after a failure: a call that was given up may still make the key. */
  #came(template: Template): void {
    const { CKA_ID } = template
    this.#cache.forgetMatching(template.CKA_LABEL, CKA_ID === undefined ? undefined : idBytes(CKA_ID))
  }
}

function requireTokenObject(template: Template): void {
  if (template?.CKA_TOKEN === true) return
  throw new Pkcs11PoolError(
    'INVALID_ARGUMENT',
    'the template does not say CKA_TOKEN: true; expected a token object. for a session object, which dies with its session, use ' +
      'withSession',
  )
}

function describeTemplate({ CKA_LABEL }: Template): string {
  return CKA_LABEL === undefined ? 'a key' : `key with label ${JSON.stringify(CKA_LABEL)}`
}

/** The key that a template made: what the template does not tell is left open rather than asked for in another call. */
function describe(handle: ObjectHandle, template: Template, otherwise: KeyClass): Key {
  const { CKA_CLASS, CKA_LABEL, CKA_ID, CKA_KEY_TYPE, CKA_VALUE_LEN, CKA_VALUE, CKA_MODULUS_BITS } = template
  const bytes = CKA_VALUE_LEN ?? CKA_VALUE?.length
  return {
    handle,
    class: isKeyClass(CKA_CLASS) ? CKA_CLASS : otherwise,
    label: CKA_LABEL ?? '',
    id: CKA_ID === undefined ? Buffer.alloc(0) : idBytes(CKA_ID),
    keyType: CKA_KEY_TYPE === undefined ? undefined : String(CKA_KEY_TYPE),
    sizeBits: bytes === undefined ? CKA_MODULUS_BITS : bytes * 8,
  }
}
