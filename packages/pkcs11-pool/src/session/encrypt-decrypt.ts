import { randomFillSync } from 'node:crypto'
import { Pkcs11PoolError } from '../errors.js'
import { Operation, type PackedMechanism } from '../pkcs11/protocol.js'
import type { ObjectHandle } from './arguments.js'
import { type CallContext, checkOptions, type OperationOptions, withMechanism } from './call-context.js'
import { type Capture, toBytes, typeName } from './capture.js'
import { runWithKey } from './private-use.js'

/** AES-GCM's answer: what `open` needs to give the plaintext back. */
export interface Sealed {
  /** 12 bytes: the IV the token really used, which is its own where it makes one */
  iv: Buffer
  ciphertext: Buffer
  /** 16 bytes */
  tag: Buffer
}

/** What `seal` and `open` take beside the data. */
export interface AeadOptions {
  /** data that is authenticated and not encrypted */
  aad?: Uint8Array | undefined
}

const AEAD_NAMES = ['aad', 'signal', 'timeoutMs'] as const satisfies (keyof AeadOptions | keyof OperationOptions)[]

/** What bounds the call, of options that also say what is authenticated. @throws INVALID_ARGUMENT */
export function boundsOf(options: AeadOptions & OperationOptions): OperationOptions {
  checkOptions(options, AEAD_NAMES)
  const { signal, timeoutMs } = options
  return { signal, timeoutMs }
}

/** The IV's length that NIST SP 800-38D recommends, section 8.2. */
const GCM_IV_BYTES = 12
const GCM_TAG_BYTES = 16

/** C_EncryptInit and C_Encrypt in one hop (PKCS#11 2.40, "Encryption functions"). */
export function encrypt(
  context: CallContext,
  key: ObjectHandle,
  mechanism: PackedMechanism,
  data: Uint8Array,
): Promise<Buffer> {
  const call = withMechanism(context, mechanism)
  return context.engine.run(Operation.ENCRYPT, context.session, call, mechanism, key, data) as Promise<Buffer>
}

/** C_DecryptInit and C_Decrypt in one hop (PKCS#11 2.40, "Decryption functions"). */
export function decrypt(
  context: CallContext,
  key: ObjectHandle,
  mechanism: PackedMechanism,
  data: Uint8Array,
): Promise<Buffer> {
  return runWithKey(context, Operation.DECRYPT, key, mechanism, data)
}

/** What `seal` sends: AES-GCM with a fresh random IV of 12 bytes and a tag of 16. */
export function sealMechanism(capture: Capture, { aad }: AeadOptions = {}): PackedMechanism {
  return gcm(capture, randomFillSync(Buffer.alloc(GCM_IV_BYTES)), aad)
}

/** C_EncryptInit and C_Encrypt with AES-GCM, the IV read back afterwards. */
export async function seal(
  context: CallContext,
  key: ObjectHandle,
  mechanism: PackedMechanism,
  plain: Uint8Array,
): Promise<Sealed> {
  const call = withMechanism(context, mechanism)
  return sealedFrom(await context.engine.run(Operation.SEAL, context.session, call, mechanism, key, plain))
}

/** What the engine answers to SEAL: the ciphertext with its tag, and the IV. */
export function sealedFrom(answer: unknown): Sealed {
  const [output, iv] = answer as [Buffer, Buffer]
  const end = output.length - GCM_TAG_BYTES
  return { iv, ciphertext: output.subarray(0, end), tag: output.subarray(end) }
}

/** What `open` sends to C_Decrypt: the mechanism, and ciphertext and tag as one. @throws INVALID_ARGUMENT */
export function openInputs(
  capture: Capture,
  sealed: { iv: Uint8Array; ciphertext: Uint8Array; tag: Uint8Array },
  { aad }: AeadOptions = {},
): { mechanism: PackedMechanism; data: Uint8Array } {
  if (typeof sealed !== 'object' || sealed === null) {
    throw new Pkcs11PoolError('INVALID_ARGUMENT', `sealed is ${typeName(sealed)}; expected { iv, ciphertext, tag }`)
  }
  const tag = toBytes(sealed.tag, 'tag')
  if (tag.length !== GCM_TAG_BYTES) {
    throw new Pkcs11PoolError(
      'INVALID_ARGUMENT',
      `tag has ${tag.length} bytes; expected ${GCM_TAG_BYTES}, as seal answers`,
    )
  }
  const mechanism = gcm(capture, toBytes(sealed.iv, 'iv'), aad)
  return { mechanism, data: capture.joined(toBytes(sealed.ciphertext, 'ciphertext'), tag) }
}

function gcm(capture: Capture, iv: Uint8Array, aad: Uint8Array | undefined): PackedMechanism {
  return capture.mechanism({ mechanism: 'CKM_AES_GCM', iv, ...(aad === undefined ? {} : { aad }) })
}
