import { Pkcs11PoolError } from '../errors.js'
import type { Mechanism } from '../pkcs11/mechanisms.js'
import type { PackedTemplate } from '../pkcs11/protocol.js'
import type { Template } from '../pkcs11/templates.js'
import type { ObjectHandle } from '../session/arguments.js'
import type { CallContext, OperationOptions } from '../session/call-context.js'
import { type Capture, withCapture } from '../session/capture.js'
import { findKey, findKeys } from '../session/find-key.js'
import {
  captureFilter,
  captureReference,
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
import type { HandleCache } from './handle-cache.js'

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
    how?: { about?: () => string; once?: boolean },
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
  async find(filter: KeyReference = {}, options: OperationOptions = {}): Promise<Key[]> {
    const captured = captureFilter(filter)
    return this.#sessions.withSession(options, (context) =>
      findKeys(context, { ...referenceTemplate(captured), CKA_TOKEN: true }),
    )
  }

  /** The one key that a reference means, from the token. @throws KEY_NOT_FOUND, KEY_AMBIGUOUS */
  async get(reference: KeyReference, options: OperationOptions = {}): Promise<Key> {
    const captured = captureReference(reference)
    return this.#sessions.withSession(options, (context) => findKey(context, captured, 'any', { CKA_TOKEN: true }))
  }

  /** C_GenerateKey of a token object. */
  generate(mechanism: Mechanism, template: Template, options: OperationOptions = {}): Promise<Key> {
    return withCapture((capture) => {
      const packed = capture.mechanism(mechanism)
      return this.#make(capture, template, options, (context, attributes) => generateKey(context, packed, attributes))
    })
  }

  /** C_GenerateKeyPair, both halves token objects. */
  generatePair(
    mechanism: Mechanism,
    publicTemplate: Template,
    privateTemplate: Template,
    options: OperationOptions = {},
  ): Promise<KeyPair> {
    return withCapture(async (capture) => {
      const packed = capture.mechanism(mechanism)
      const forPublic = new NewKey(capture, publicTemplate, 'CKO_PUBLIC_KEY')
      const forPrivate = new NewKey(capture, privateTemplate, 'CKO_PRIVATE_KEY')
      try {
        const pair = await this.#sessions.withSession(
          options,
          (context) => generateKeyPair(context, packed, forPublic.attributes, forPrivate.attributes),
          { about: () => forPrivate.describe(), once: true },
        )
        return { publicKey: this.#made(forPublic, pair.publicKey), privateKey: this.#made(forPrivate, pair.privateKey) }
      } finally {
        this.#came(forPublic)
        this.#came(forPrivate)
      }
    })
  }

  /** C_CreateObject of a token object whose value is in the template. */
  import(template: Template, options: OperationOptions = {}): Promise<Key> {
    return withCapture((capture) =>
      this.#make(capture, template, options, (context, attributes) => createObject(context, attributes)),
    )
  }

  /** C_SetAttributeValue on the one key that a reference means. */
  update(reference: KeyReference, template: Template, options: OperationOptions = {}): Promise<void> {
    return withCapture(async (capture) => {
      const attributes = capture.template(template)
      try {
        await this.#onFound(reference, options, (context, handle) => setAttributes(context, handle, attributes))
      } finally {
        this.#cache.clear()
      }
    })
  }

  /** C_DestroyObject on the one key that a reference means, looked up afresh. */
  destroy(reference: KeyReference, options: OperationOptions = {}): Promise<void> {
    return this.#onFound(reference, options, async (context, handle) => {
      try {
        await destroyObject(context, handle)
        this.#cache.ended(handle)
      } finally {
        // Also after a failure: a call that was given up may still destroy it.
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
    return withCapture((capture) => {
      const packed = capture.mechanism(mechanism)
      const captured = captureReference(key)
      return this.#sessions.withKey(captureReference(wrappingKey), 'public', options, async (context, wrapping) => {
        // A public key is no secret: what is wrapped is a secret or private one.
        const wrapped = await findKey(context, captured, 'private', { CKA_TOKEN: true })
        return wrapKey(context, packed, wrapping, wrapped.handle)
      })
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
    return withCapture((capture) => {
      const packed = capture.mechanism(mechanism)
      const bytes = capture.bytes(wrapped, 'wrapped')
      return this.#makeWith(capture, unwrappingKey, template, options, (context, handle, attributes) =>
        unwrapKey(context, packed, handle, bytes, attributes),
      )
    })
  }

  /** C_DeriveKey into a token object. */
  derive(
    mechanism: Mechanism,
    baseKey: KeyReference,
    template: Template,
    options: OperationOptions = {},
  ): Promise<Key> {
    return withCapture((capture) => {
      const packed = capture.mechanism(mechanism)
      return this.#makeWith(capture, baseKey, template, options, (context, handle, attributes) =>
        deriveKey(context, packed, handle, attributes),
      )
    })
  }

  /** Forgets the cached handles of the keys that a reference may mean, or of all: for when another process has changed keys. */
  forget(reference?: KeyReference): void {
    if (reference === undefined) this.#cache.clear()
    else this.#cache.forgetReference(captureReference(reference))
  }

  /** Finds the key in the same session just before, never in the cache: what changes a key must not hit another. */
  async #onFound<R>(
    reference: KeyReference,
    options: OperationOptions,
    call: (context: CallContext, handle: ObjectHandle) => Promise<R>,
  ): Promise<R> {
    const captured = captureReference(reference)
    return this.#sessions.withSession(
      options,
      async (context) => {
        const key = await findKey(context, captured, 'any', { CKA_TOKEN: true })
        return call(context, key.handle)
      },
      { about: () => describeReference(captured), once: true },
    )
  }

  async #make(
    capture: Capture,
    template: Template,
    options: OperationOptions,
    call: (context: CallContext, attributes: PackedTemplate) => Promise<ObjectHandle>,
  ): Promise<Key> {
    const key = new NewKey(capture, template, 'CKO_SECRET_KEY')
    try {
      const handle = await this.#sessions.withSession(options, (context) => call(context, key.attributes), {
        about: () => key.describe(),
        once: true,
      })
      return this.#made(key, handle)
    } finally {
      this.#came(key)
    }
  }

  /**
   * Makes a key with another, which is found just before. Not by `withKey`: that makes a call again where the token refused the
   * handle, and of a call that makes a key its answer is not enough to know that it made none.
   */
  async #makeWith(
    capture: Capture,
    reference: KeyReference,
    template: Template,
    options: OperationOptions,
    call: (context: CallContext, handle: ObjectHandle, attributes: PackedTemplate) => Promise<ObjectHandle>,
  ): Promise<Key> {
    const captured = captureReference(reference)
    const key = new NewKey(capture, template, 'CKO_SECRET_KEY')
    try {
      const handle = await this.#sessions.withSession(
        options,
        async (context) => {
          const base = await findKey(context, captured, 'private', { CKA_TOKEN: true })
          return call(context, base.handle, key.attributes)
        },
        { about: () => key.describe(), once: true },
      )
      return this.#made(key, handle)
    } finally {
      this.#came(key)
    }
  }

  #made(key: NewKey, handle: ObjectHandle): Key {
    this.#cache.appeared(handle)
    return key.made(handle)
  }

  /** Also after a failure: a call that was given up may still make the key. */
  #came({ label, id }: NewKey): void {
    this.#cache.forgetMatching(label, id)
  }
}

/** A key that is being made: its attributes, and what is known of it from them without asking the token again. */
class NewKey {
  readonly attributes: PackedTemplate
  readonly label: string | undefined
  readonly id: Buffer | undefined
  readonly #class: KeyClass
  readonly #keyType: string | undefined
  readonly #sizeBits: number | undefined
  readonly #private: boolean | undefined
  readonly #alwaysAuthenticate: boolean

  /** @throws INVALID_ARGUMENT */
  constructor(capture: Capture, template: Template, otherwise: KeyClass) {
    this.attributes = capture.template(template)
    if (template.CKA_TOKEN !== true) {
      throw new Pkcs11PoolError(
        'INVALID_ARGUMENT',
        'the template does not say CKA_TOKEN: true; expected a token object. for a session object, which dies with its session, ' +
          'use withSession',
      )
    }
    const { CKA_CLASS, CKA_LABEL, CKA_ID, CKA_KEY_TYPE, CKA_VALUE_LEN, CKA_VALUE, CKA_MODULUS_BITS } = template
    const bytes = CKA_VALUE_LEN ?? CKA_VALUE?.length
    this.label = CKA_LABEL
    this.id = CKA_ID === undefined ? undefined : idBytes(CKA_ID)
    this.#class = isKeyClass(CKA_CLASS) ? CKA_CLASS : otherwise
    this.#keyType = CKA_KEY_TYPE === undefined ? undefined : String(CKA_KEY_TYPE)
    this.#private = template.CKA_PRIVATE
    this.#alwaysAuthenticate = template.CKA_ALWAYS_AUTHENTICATE === true
    this.#sizeBits = bytes === undefined ? CKA_MODULUS_BITS : bytes * 8
  }

  describe(): string {
    return this.label === undefined ? 'a key' : `key with label ${JSON.stringify(this.label)}`
  }

  made(handle: ObjectHandle): Key {
    return {
      handle,
      class: this.#class,
      label: this.label ?? '',
      id: this.id ?? Buffer.alloc(0),
      keyType: this.#keyType,
      sizeBits: this.#sizeBits,
      private: this.#private,
      alwaysAuthenticate: this.#alwaysAuthenticate,
    }
  }
}
