import { Pkcs11PoolError } from '../errors.js'
import type { Mechanism } from '../pkcs11/mechanisms.js'
import { Operation } from '../pkcs11/protocol.js'
import type { AttributeName, AttributeValues, Template } from '../pkcs11/templates.js'
import { type HandleLike, type ObjectHandle, toHandle } from './arguments.js'
import type { CallContext, OperationOptions } from './call-context.js'
import { type Capture, typeName, withCapture } from './capture.js'
import {
  type AeadOptions,
  boundsOf,
  decrypt,
  encrypt,
  openInputs,
  type Sealed,
  seal,
  sealMechanism,
} from './encrypt-decrypt.js'
import { findKey } from './find-key.js'
import { captureReference, type Key, type KeyReference } from './key-reference.js'
import { deriveKey, generateKey, generateKeyPair, type KeyPairHandles, unwrapKey, wrapKey } from './keys.js'
import { copyObject, createObject, destroyObject, findObjects, getAttributes, setAttributes } from './objects.js'
import type { PooledSession } from './pooled-session.js'
import { useByHandle } from './private-use.js'
import { generateRandom, seedRandom } from './random.js'
import { digest, sign, verify } from './sign-verify.js'

/** CK_SESSION_INFO (PKCS#11 2.40 section 3.3). */
export interface SessionInfo {
  slotId: number | bigint
  /** CKS_RO_PUBLIC_SESSION 0, CKS_RO_USER_FUNCTIONS 1, CKS_RW_PUBLIC_SESSION 2, CKS_RW_USER_FUNCTIONS 3, CKS_RW_SO_FUNCTIONS 4 */
  state: number
  flags: number
  /** the device's own error number */
  deviceError: number
}

/** What a session needs of the client it was acquired from. */
export interface SessionOwner {
  /**
   * Runs a call, bounded by its own options over the session's, and those over the client's; logs in once more and repeats it where the
   * token had refused it for want of a login.
   */
  attempt<R>(
    pooled: PooledSession,
    options: OperationOptions | undefined,
    call: (context: CallContext) => Promise<R>,
  ): Promise<R>
  /** Objects of the token changed through this session. */
  objectsChanged(): void
  giveBack(session: Session): void
}

/**
 * One session, from acquire to release. Its methods are the PKCS#11 functions, a promise each; a session runs one call at a time, so
 * those made together run one after the other. All of them throw SESSION_RELEASED after release, INVALID_ARGUMENT for what cannot be
 * sent, CRYPTOKI and its kin for what the token answers, OPERATION_TIMEOUT, and the reason of an aborted signal.
 */
export class Session {
  readonly #owner: SessionOwner
  #pooled: PooledSession | undefined

  constructor(owner: SessionOwner, pooled: PooledSession) {
    this.#owner = owner
    this.#pooled = pooled
  }

  get released(): boolean {
    return this.#pooled === undefined
  }

  /** Gives the session back to the pool. One that made session objects is closed instead, and they with it. @throws SESSION_RELEASED the second time */
  release(): void {
    if (this.#pooled === undefined) throw sessionReleased('released')
    this.#pooled = undefined
    this.#owner.giveBack(this)
  }

  [Symbol.dispose](): void {
    if (!this.released) this.release()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]()
  }

  /** Handles of all objects that have the attributes. */
  findObjects(filter: Template, options?: OperationOptions): Promise<ObjectHandle[]> {
    return this.#capturing((capture) => {
      const packed = capture.template(filter)
      return this.#run(options, (context) => findObjects(context, packed))
    })
  }

  /** @throws KEY_NOT_FOUND, KEY_AMBIGUOUS */
  findKey(reference: KeyReference, options?: OperationOptions): Promise<Key> {
    return this.#capturing(() => {
      const captured = captureReference(reference)
      return this.#run(options, (context) => findKey(context, captured))
    })
  }

  /** Attributes by name; undefined for what the object does not have or must not tell. */
  getAttributes<N extends AttributeName>(
    object: HandleLike,
    names: readonly N[],
    options?: OperationOptions,
  ): Promise<Pick<AttributeValues, N>> {
    return this.#capturing(() => {
      const handle = toHandle(object, 'object')
      if (!Array.isArray(names)) {
        throw new Pkcs11PoolError(
          'INVALID_ARGUMENT',
          `names is ${typeName(names)}; expected an array of attribute names`,
        )
      }
      const captured = Array.from<N>(names)
      return this.#run(options, (context) => getAttributes(context, handle, captured))
    })
  }

  setAttributes(object: HandleLike, template: Template, options?: OperationOptions): Promise<void> {
    return this.#capturing((capture) => {
      const handle = toHandle(object, 'object')
      const packed = capture.template(template)
      return this.#change(options, (context) => setAttributes(context, handle, packed))
    })
  }

  createObject(template: Template, options?: OperationOptions): Promise<ObjectHandle> {
    return this.#capturing((capture) => {
      const packed = capture.template(template)
      return this.#make(template, options, (context) => createObject(context, packed))
    })
  }

  copyObject(object: HandleLike, template: Template, options?: OperationOptions): Promise<ObjectHandle> {
    return this.#capturing((capture) => {
      const handle = toHandle(object, 'object')
      const packed = capture.template(template)
      return this.#make(template, options, (context) => copyObject(context, handle, packed))
    })
  }

  destroyObject(object: HandleLike, options?: OperationOptions): Promise<void> {
    return this.#capturing(() => {
      const handle = toHandle(object, 'object')
      return this.#change(options, (context) => destroyObject(context, handle))
    })
  }

  generateKey(mechanism: Mechanism, template: Template, options?: OperationOptions): Promise<ObjectHandle> {
    return this.#capturing((capture) => {
      const packed = capture.mechanism(mechanism)
      const attributes = capture.template(template)
      return this.#make(template, options, (context) => generateKey(context, packed, attributes))
    })
  }

  generateKeyPair(
    mechanism: Mechanism,
    publicTemplate: Template,
    privateTemplate: Template,
    options?: OperationOptions,
  ): Promise<KeyPairHandles> {
    return this.#capturing((capture) => {
      const packed = capture.mechanism(mechanism)
      const forPublic = capture.template(publicTemplate)
      const forPrivate = capture.template(privateTemplate)
      const both = { CKA_TOKEN: publicTemplate.CKA_TOKEN === true && privateTemplate.CKA_TOKEN === true }
      return this.#make(both, options, (context) => generateKeyPair(context, packed, forPublic, forPrivate))
    })
  }

  wrapKey(mechanism: Mechanism, wrappingKey: HandleLike, key: HandleLike, options?: OperationOptions): Promise<Buffer> {
    return this.#capturing((capture) => {
      const packed = capture.mechanism(mechanism)
      const wrapping = toHandle(wrappingKey, 'wrappingKey')
      const wrapped = toHandle(key, 'key')
      return this.#run(options, (context) => wrapKey(context, packed, wrapping, wrapped))
    })
  }

  unwrapKey(
    mechanism: Mechanism,
    unwrappingKey: HandleLike,
    wrapped: Uint8Array,
    template: Template,
    options?: OperationOptions,
  ): Promise<ObjectHandle> {
    return this.#capturing((capture) => {
      const packed = capture.mechanism(mechanism)
      const handle = toHandle(unwrappingKey, 'unwrappingKey')
      const bytes = capture.bytes(wrapped, 'wrapped')
      const attributes = capture.template(template)
      return this.#make(template, options, (context) => unwrapKey(context, packed, handle, bytes, attributes))
    })
  }

  deriveKey(
    mechanism: Mechanism,
    baseKey: HandleLike,
    template: Template,
    options?: OperationOptions,
  ): Promise<ObjectHandle> {
    return this.#capturing((capture) => {
      const packed = capture.mechanism(mechanism)
      const handle = toHandle(baseKey, 'baseKey')
      const attributes = capture.template(template)
      return this.#make(template, options, (context) => deriveKey(context, packed, handle, attributes))
    })
  }

  encrypt(key: HandleLike, mechanism: Mechanism, data: Uint8Array, options?: OperationOptions): Promise<Buffer> {
    return this.#crypt(encrypt, key, mechanism, data, options)
  }

  decrypt(key: HandleLike, mechanism: Mechanism, data: Uint8Array, options?: OperationOptions): Promise<Buffer> {
    return this.#crypt(decrypt, key, mechanism, data, options)
  }

  sign(key: HandleLike, mechanism: Mechanism, data: Uint8Array, options?: OperationOptions): Promise<Buffer> {
    return this.#crypt(sign, key, mechanism, data, options)
  }

  /** False for a signature that is not the key's. */
  verify(
    key: HandleLike,
    mechanism: Mechanism,
    data: Uint8Array,
    signature: Uint8Array,
    options?: OperationOptions,
  ): Promise<boolean> {
    return this.#capturing((capture) => {
      const handle = toHandle(key, 'key')
      const packed = capture.mechanism(mechanism)
      const bytes = capture.bytes(data, 'data')
      const given = capture.bytes(signature, 'signature')
      return this.#run(options, (context) => verify(context, handle, packed, bytes, given))
    })
  }

  /** AES-GCM with a fresh IV; see {@link Sealed}. */
  seal(key: HandleLike, plain: Uint8Array, options: AeadOptions & OperationOptions = {}): Promise<Sealed> {
    return this.#capturing((capture) => {
      const bounds = boundsOf(options)
      const handle = toHandle(key, 'key')
      const packed = sealMechanism(capture, options)
      const bytes = capture.bytes(plain, 'plain')
      return this.#run(bounds, (context) => seal(context, handle, packed, bytes))
    })
  }

  open(
    key: HandleLike,
    sealed: { iv: Uint8Array; ciphertext: Uint8Array; tag: Uint8Array },
    options: AeadOptions & OperationOptions = {},
  ): Promise<Buffer> {
    return this.#capturing((capture) => {
      const bounds = boundsOf(options)
      const handle = toHandle(key, 'key')
      const { mechanism, data } = openInputs(capture, sealed, options)
      const use = (context: CallContext): Promise<Buffer> => decrypt(context, handle, mechanism, data)
      return this.#run(bounds, (context) => useByHandle(context, handle, use))
    })
  }

  digest(mechanism: Mechanism, data: Uint8Array, options?: OperationOptions): Promise<Buffer> {
    return this.#capturing((capture) => {
      const packed = capture.mechanism(mechanism)
      const bytes = capture.bytes(data, 'data')
      return this.#run(options, (context) => digest(context, packed, bytes))
    })
  }

  generateRandom(length: number, options?: OperationOptions): Promise<Buffer> {
    return this.#run(options, (context) => generateRandom(context, length))
  }

  seedRandom(seed: Uint8Array, options?: OperationOptions): Promise<void> {
    return this.#capturing((capture) => {
      const bytes = capture.bytes(seed, 'seed')
      return this.#run(options, (context) => seedRandom(context, bytes))
    })
  }

  /** C_GetSessionInfo. */
  getSessionInfo(options?: OperationOptions): Promise<SessionInfo> {
    return this.#run(options, async (context) => {
      const info = await context.engine.run(Operation.SESSION_INFO, context.session, context)
      const [slotId, state, flags, deviceError] = info as [number | bigint, number, number, number]
      return { slotId, state, flags, deviceError }
    })
  }

  #capturing<R>(call: (capture: Capture) => Promise<R>): Promise<R> {
    // Before anything is looked at: that it was released is what its user has to hear.
    if (this.released) return Promise.reject(sessionReleased('used'))
    return withCapture(call)
  }

  #crypt(
    operation: typeof encrypt,
    key: HandleLike,
    mechanism: Mechanism,
    data: Uint8Array,
    options: OperationOptions | undefined,
  ): Promise<Buffer> {
    return this.#capturing((capture) => {
      const handle = toHandle(key, 'key')
      const packed = capture.mechanism(mechanism)
      const bytes = capture.bytes(data, 'data')
      const use = (context: CallContext): Promise<Buffer> => operation(context, handle, packed, bytes)
      return this.#run(options, operation === encrypt ? use : (context) => useByHandle(context, handle, use))
    })
  }

  async #run<R>(options: OperationOptions | undefined, call: (context: CallContext) => Promise<R>): Promise<R> {
    const pooled = this.#pooled
    if (pooled === undefined) throw sessionReleased('used')
    return this.#owner.attempt(pooled, options, (context) => {
      // It may have been released while it was logged in again, and be another's by now.
      if (this.released) throw sessionReleased('used')
      return call(context)
    })
  }

  /** A call that changes objects: cached handles are looked at afresh, whether it worked or not. */
  async #change<R>(options: OperationOptions | undefined, call: (context: CallContext) => Promise<R>): Promise<R> {
    try {
      return await this.#run(options, call)
    } finally {
      this.#owner.objectsChanged()
    }
  }

  /** A call that makes an object: one that is no token object lives and dies with this session. */
  #make<R>(
    template: Template,
    options: OperationOptions | undefined,
    call: (context: CallContext) => Promise<R>,
  ): Promise<R> {
    if (this.#pooled !== undefined && template.CKA_TOKEN !== true) this.#pooled.holdsObjects = true
    return this.#change(options, call)
  }
}

function sessionReleased(what: string): Pkcs11PoolError {
  return new Pkcs11PoolError(
    'SESSION_RELEASED',
    `this session was released already and cannot be ${what} any more; keep each use between its acquire and its one release`,
  )
}
