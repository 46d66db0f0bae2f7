import { Pkcs11PoolError } from '../errors.js'
import type { Mechanism } from '../pkcs11/mechanisms.js'
import { Operation } from '../pkcs11/protocol.js'
import type { AttributeName, AttributeValues, Template } from '../pkcs11/templates.js'
import { type HandleLike, type ObjectHandle, toHandle } from './arguments.js'
import type { CallContext, OperationOptions } from './call-context.js'
import { type AeadOptions, decrypt, encrypt, open, type Sealed, seal } from './encrypt-decrypt.js'
import { findKey } from './find-key.js'
import type { Key, KeyReference } from './key-reference.js'
import { deriveKey, generateKey, generateKeyPair, type KeyPairHandles, unwrapKey, wrapKey } from './keys.js'
import { copyObject, createObject, destroyObject, findObjects, getAttributes, setAttributes } from './objects.js'
import type { PooledSession } from './pooled-session.js'
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
  /** Bounds one call: its own options over the session's, those over the client's. */
  context(pooled: PooledSession, options: OperationOptions | undefined): CallContext
  /** Runs a call; logs in once more and repeats it where the token had refused it for want of a login. */
  attempt<R>(pooled: PooledSession, call: () => Promise<R>): Promise<R>
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
    return this.#run(options, (context) => findObjects(context, filter))
  }

  /** @throws KEY_NOT_FOUND, KEY_AMBIGUOUS */
  findKey(reference: KeyReference, options?: OperationOptions): Promise<Key> {
    return this.#run(options, (context) => findKey(context, reference))
  }

  /** Attributes by name; undefined for what the object does not have or must not tell. */
  getAttributes<N extends AttributeName>(
    object: HandleLike,
    names: readonly N[],
    options?: OperationOptions,
  ): Promise<Pick<AttributeValues, N>> {
    return this.#run(options, (context) => getAttributes(context, toHandle(object, 'object'), names))
  }

  setAttributes(object: HandleLike, template: Template, options?: OperationOptions): Promise<void> {
    return this.#change(options, (context) => setAttributes(context, toHandle(object, 'object'), template))
  }

  createObject(template: Template, options?: OperationOptions): Promise<ObjectHandle> {
    return this.#make(template, options, (context) => createObject(context, template))
  }

  copyObject(object: HandleLike, template: Template, options?: OperationOptions): Promise<ObjectHandle> {
    return this.#make(template, options, (context) => copyObject(context, toHandle(object, 'object'), template))
  }

  destroyObject(object: HandleLike, options?: OperationOptions): Promise<void> {
    return this.#change(options, (context) => destroyObject(context, toHandle(object, 'object')))
  }

  generateKey(mechanism: Mechanism, template: Template, options?: OperationOptions): Promise<ObjectHandle> {
    return this.#make(template, options, (context) => generateKey(context, mechanism, template))
  }

  generateKeyPair(
    mechanism: Mechanism,
    publicTemplate: Template,
    privateTemplate: Template,
    options?: OperationOptions,
  ): Promise<KeyPairHandles> {
    const both = { CKA_TOKEN: publicTemplate?.CKA_TOKEN === true && privateTemplate?.CKA_TOKEN === true }
    return this.#make(both, options, (context) => generateKeyPair(context, mechanism, publicTemplate, privateTemplate))
  }

  wrapKey(mechanism: Mechanism, wrappingKey: HandleLike, key: HandleLike, options?: OperationOptions): Promise<Buffer> {
    return this.#run(options, (context) =>
      wrapKey(context, mechanism, toHandle(wrappingKey, 'wrappingKey'), toHandle(key, 'key')),
    )
  }

  unwrapKey(
    mechanism: Mechanism,
    unwrappingKey: HandleLike,
    wrapped: Uint8Array,
    template: Template,
    options?: OperationOptions,
  ): Promise<ObjectHandle> {
    return this.#make(template, options, (context) =>
      unwrapKey(context, mechanism, toHandle(unwrappingKey, 'unwrappingKey'), wrapped, template),
    )
  }

  deriveKey(
    mechanism: Mechanism,
    baseKey: HandleLike,
    template: Template,
    options?: OperationOptions,
  ): Promise<ObjectHandle> {
    return this.#make(template, options, (context) =>
      deriveKey(context, mechanism, toHandle(baseKey, 'baseKey'), template),
    )
  }

  encrypt(key: HandleLike, mechanism: Mechanism, data: Uint8Array, options?: OperationOptions): Promise<Buffer> {
    return this.#run(options, (context) => encrypt(context, toHandle(key, 'key'), mechanism, data))
  }

  decrypt(key: HandleLike, mechanism: Mechanism, data: Uint8Array, options?: OperationOptions): Promise<Buffer> {
    return this.#run(options, (context) => decrypt(context, toHandle(key, 'key'), mechanism, data))
  }

  /** AES-GCM with a fresh IV; see {@link Sealed}. */
  seal(key: HandleLike, plain: Uint8Array, options?: AeadOptions & OperationOptions): Promise<Sealed> {
    return this.#run(options, (context) => seal(context, toHandle(key, 'key'), plain, options))
  }

  open(
    key: HandleLike,
    sealed: { iv: Uint8Array; ciphertext: Uint8Array; tag: Uint8Array },
    options?: AeadOptions & OperationOptions,
  ): Promise<Buffer> {
    return this.#run(options, (context) => open(context, toHandle(key, 'key'), sealed, options))
  }

  sign(key: HandleLike, mechanism: Mechanism, data: Uint8Array, options?: OperationOptions): Promise<Buffer> {
    return this.#run(options, (context) => sign(context, toHandle(key, 'key'), mechanism, data))
  }

  /** False for a signature that is not the key's. */
  verify(
    key: HandleLike,
    mechanism: Mechanism,
    data: Uint8Array,
    signature: Uint8Array,
    options?: OperationOptions,
  ): Promise<boolean> {
    return this.#run(options, (context) => verify(context, toHandle(key, 'key'), mechanism, data, signature))
  }

  digest(mechanism: Mechanism, data: Uint8Array, options?: OperationOptions): Promise<Buffer> {
    return this.#run(options, (context) => digest(context, mechanism, data))
  }

  generateRandom(length: number, options?: OperationOptions): Promise<Buffer> {
    return this.#run(options, (context) => generateRandom(context, length))
  }

  seedRandom(seed: Uint8Array, options?: OperationOptions): Promise<void> {
    return this.#run(options, (context) => seedRandom(context, seed))
  }

  /** C_GetSessionInfo. */
  getSessionInfo(options?: OperationOptions): Promise<SessionInfo> {
    return this.#run(options, async (context) => {
      const info = await context.engine.run(Operation.SESSION_INFO, context.session, context)
      const [slotId, state, flags, deviceError] = info as [number | bigint, number, number, number]
      return { slotId, state, flags, deviceError }
    })
  }

  async #run<R>(options: OperationOptions | undefined, call: (context: CallContext) => Promise<R>): Promise<R> {
    const pooled = this.#pooled
    if (pooled === undefined) throw sessionReleased('used')
    return this.#owner.attempt(pooled, () => call(this.#owner.context(pooled, options)))
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
    if (this.#pooled !== undefined && template?.CKA_TOKEN !== true) this.#pooled.holdsObjects = true
    return this.#change(options, call)
  }
}

export function sessionReleased(what: string): Pkcs11PoolError {
  return new Pkcs11PoolError(
    'SESSION_RELEASED',
    `this session was released already and cannot be ${what} any more; keep each use between its acquire and its one release`,
  )
}
