import type { KeyOperations } from './key-operations.js'
import type { HandleCache } from './keys/handle-cache.js'
import type { Mechanism } from './pkcs11/mechanisms.js'
import { usesUpKey } from './pkcs11/packed-mechanism.js'
import type { ObjectHandle } from './session/arguments.js'
import type { CallContext, OperationOptions } from './session/call-context.js'
import { withCapture } from './session/capture.js'
import {
  type AeadOptions,
  boundsOf,
  decrypt,
  encrypt,
  openInputs,
  type Sealed,
  seal,
  sealMechanism,
} from './session/encrypt-decrypt.js'
import { captureReference, type KeyReference, type KeyUse } from './session/key-reference.js'
import { generateRandom } from './session/random.js'
import { digest, sign, verify } from './session/sign-verify.js'

/** One token, as operations see it. */
export interface OperationTarget {
  readonly operations: KeyOperations
  readonly cache: HandleCache
}

/** What a host has to know of an operation. */
export interface OperationTraits {
  /** the key it uses, where it uses one */
  key?: KeyReference
  /** it takes something of its key away: see `usesUpKey` */
  usesUpKey?: boolean
}

/** Where operations run: on the one token of a client, or on members of a group, one after the other until one has answered. */
export interface OperationHost {
  run<R>(
    options: OperationOptions,
    call: (target: OperationTarget, options: OperationOptions) => Promise<R>,
    traits?: OperationTraits,
  ): Promise<R>
}

/**
 * What is done with keys by reference: acquire, resolve, one hop off the loop, release. The inputs are taken when the call is made,
 * however often it is then sent.
 */
export class CryptoOperations {
  readonly #host: OperationHost

  constructor(host: OperationHost) {
    this.#host = host
  }

  /** C_EncryptInit and C_Encrypt with the key of a reference: acquire, resolve, one hop off the loop, release. */
  encrypt(key: KeyReference, mechanism: Mechanism, data: Uint8Array, options: OperationOptions = {}): Promise<Buffer> {
    return this.#crypt(encrypt, 'public', key, mechanism, data, options)
  }

  /** C_DecryptInit and C_Decrypt. */
  decrypt(key: KeyReference, mechanism: Mechanism, data: Uint8Array, options: OperationOptions = {}): Promise<Buffer> {
    return this.#crypt(decrypt, 'private', key, mechanism, data, options)
  }

  /** C_SignInit and C_Sign. */
  sign(key: KeyReference, mechanism: Mechanism, data: Uint8Array, options: OperationOptions = {}): Promise<Buffer> {
    return this.#crypt(sign, 'private', key, mechanism, data, options)
  }

  /** C_VerifyInit and C_Verify: false for a signature that is not the key's. */
  verify(
    key: KeyReference,
    mechanism: Mechanism,
    data: Uint8Array,
    signature: Uint8Array,
    options: OperationOptions = {},
  ): Promise<boolean> {
    return withCapture((capture) => {
      const packed = capture.mechanism(mechanism)
      const bytes = capture.bytes(data, 'data')
      const given = capture.bytes(signature, 'signature')
      return this.#withKey(key, 'public', options, (context, handle) => verify(context, handle, packed, bytes, given))
    })
  }

  /** C_DigestInit and C_Digest. */
  digest(mechanism: Mechanism, data: Uint8Array, options: OperationOptions = {}): Promise<Buffer> {
    return withCapture((capture) => {
      const packed = capture.mechanism(mechanism)
      const bytes = capture.bytes(data, 'data')
      return this.#host.run(options, ({ operations }, bounds) =>
        operations.withSession(bounds, (context) => digest(context, packed, bytes)),
      )
    })
  }

  /** AES-GCM with a fresh IV of 12 bytes; `iv` in the answer is the one the token really used. */
  seal(key: KeyReference, plain: Uint8Array, options: AeadOptions & OperationOptions = {}): Promise<Sealed> {
    return withCapture((capture) => {
      const bounds = boundsOf(options)
      const packed = sealMechanism(capture, options)
      const bytes = capture.bytes(plain, 'plain')
      return this.#withKey(key, 'public', bounds, (context, handle) => seal(context, handle, packed, bytes))
    })
  }

  /** The plaintext of what `seal` answered; a tag that does not verify is the token's CKR. */
  open(
    key: KeyReference,
    sealed: { iv: Uint8Array; ciphertext: Uint8Array; tag: Uint8Array },
    options: AeadOptions & OperationOptions = {},
  ): Promise<Buffer> {
    return withCapture((capture) => {
      const bounds = boundsOf(options)
      const { mechanism, data } = openInputs(capture, sealed, options)
      return this.#withKey(key, 'private', bounds, (context, handle) => decrypt(context, handle, mechanism, data))
    })
  }

  /** C_GenerateRandom: `length` bytes, up to 64 MiB. */
  generateRandom(length: number, options: OperationOptions = {}): Promise<Buffer> {
    return this.#host.run(options, ({ operations }, bounds) =>
      operations.withSession(bounds, (context) => generateRandom(context, length)),
    )
  }

  #crypt(
    operation: typeof encrypt,
    use: KeyUse,
    key: KeyReference,
    mechanism: Mechanism,
    data: Uint8Array,
    options: OperationOptions,
  ): Promise<Buffer> {
    return withCapture((capture) => {
      const packed = capture.mechanism(mechanism)
      const bytes = capture.bytes(data, 'data')
      const call = (context: CallContext, handle: ObjectHandle): Promise<Buffer> =>
        operation(context, handle, packed, bytes)
      return this.#withKey(key, use, options, call, operation === sign && usesUpKey(packed))
    })
  }

  async #withKey<R>(
    given: KeyReference,
    use: KeyUse,
    options: OperationOptions,
    call: (context: CallContext, handle: ObjectHandle) => Promise<R>,
    once = false,
  ): Promise<R> {
    const key = captureReference(given)
    return this.#host.run(options, ({ operations }, bounds) => operations.withKey(key, use, bounds, call, once), {
      key,
      usesUpKey: once,
    })
  }
}
