import { randomFillSync } from 'node:crypto'
import { Pkcs11PoolError } from '../errors.js'
import type { Mechanism } from '../pkcs11/mechanisms.js'
import { packMechanism } from '../pkcs11/mechanisms.js'
import { Operation } from '../pkcs11/protocol.js'
import { type ObjectHandle, toBytes } from './arguments.js'
import { type CallContext, withMechanism } from './call-context.js'

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

/** The IV's length that NIST SP 800-38D recommends, section 8.2. */
const GCM_IV_BYTES = 12
const GCM_TAG_BYTES = 16

/** C_EncryptInit and C_Encrypt in one hop (PKCS#11 2.40 section 5.8). */
export function encrypt(
  context: CallContext,
  key: ObjectHandle,
  mechanism: Mechanism,
  data: Uint8Array,
): Promise<Buffer> {
  return transform(context, Operation.ENCRYPT, key, mechanism, data)
}

/** C_DecryptInit and C_Decrypt in one hop (PKCS#11 2.40 section 5.9). */
export function decrypt(
  context: CallContext,
  key: ObjectHandle,
  mechanism: Mechanism,
  data: Uint8Array,
): Promise<Buffer> {
  return transform(context, Operation.DECRYPT, key, mechanism, data)
}

function transform(
  context: CallContext,
  operation: Operation,
  key: ObjectHandle,
  mechanism: Mechanism,
  data: Uint8Array,
): Promise<Buffer> {
  const packed = packMechanism(mechanism)
  return context.engine.run(
    operation,
    context.session,
    withMechanism(context, mechanism),
    packed,
    key,
    toBytes(data, 'data'),
  ) as Promise<Buffer>
}

/** AES-GCM with a fresh random IV of 12 bytes and a tag of 16. */
export async function seal(
  context: CallContext,
  key: ObjectHandle,
  plain: Uint8Array,
  { aad }: AeadOptions = {},
): Promise<Sealed> {
  const iv = randomFillSync(Buffer.alloc(GCM_IV_BYTES))
  const mechanism = packMechanism({ mechanism: 'CKM_AES_GCM', iv, ...(aad === undefined ? {} : { aad }) })
  const bytes = toBytes(plain, 'plain')
  const sealed = (await context.engine.run(Operation.SEAL, context.session, context, mechanism, key, bytes)) as [
    Buffer,
    Buffer,
  ]
  const [output, usedIv] = sealed
  const end = output.length - GCM_TAG_BYTES
  return { iv: usedIv, ciphertext: output.subarray(0, end), tag: output.subarray(end) }
}

/** The plaintext of what `seal` answered. A tag that does not verify is the token's CKR. */
export function open(
  context: CallContext,
  key: ObjectHandle,
  sealed: { iv: Uint8Array; ciphertext: Uint8Array; tag: Uint8Array },
  { aad }: AeadOptions = {},
): Promise<Buffer> {
  const iv = toBytes(sealed.iv, 'iv')
  const tag = toBytes(sealed.tag, 'tag')
  if (tag.length !== GCM_TAG_BYTES) {
    throw new Pkcs11PoolError(
      'INVALID_ARGUMENT',
      `tag has ${tag.length} bytes; expected ${GCM_TAG_BYTES}, as seal answers`,
    )
  }
  const mechanism: Mechanism = { mechanism: 'CKM_AES_GCM', iv, ...(aad === undefined ? {} : { aad }) }
  const data = Buffer.concat([toBytes(sealed.ciphertext, 'ciphertext'), tag])
  return decrypt(context, key, mechanism, data)
}
