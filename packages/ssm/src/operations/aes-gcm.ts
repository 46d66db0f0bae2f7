import { requireGcmDecryptionLabel, requireGcmEncryptionLabel } from '../crypto/algorithms.js'
import type { Hsm, Sealed } from '../hsm/hsm.js'
import type { LabelKeys } from '../hsm/label-keys.js'
import { Problem } from '../problems/problem.js'

const IV_BYTES = 12
const TAG_BYTES = 16

/**
 * Encrypts and authenticates with some key under a label.
 *
 * @throws Problem INVALID_KEY_TYPE where the label's keys are not for AES-GCM, VALIDATION_FAILED on a reserved label, KEY_NOT_FOUND
 */
export async function encryptAesGcm(
  hsm: Hsm,
  keys: LabelKeys,
  request: { keyLabel: string; plain: Uint8Array; aad: Uint8Array | undefined },
): Promise<Sealed & { id: number }> {
  const { keyLabel, plain, aad } = request
  requireGcmEncryptionLabel(keyLabel)
  const { key, value } = await keys.useAny(keyLabel, (picked) => hsm.seal(picked, plain, aad))
  return { ...value, id: key.id }
}

/** What is to be decrypted with AES-GCM, and with which key. */
export interface GcmDecryption {
  keyLabel: string
  /** 0 means the only key under the label */
  id: number
  cipher: Buffer
  iv: Buffer
  tag: Buffer
  aad: Uint8Array | undefined
}

/**
 * Decrypts what {@link encryptAesGcm} or anybody else with the key has made.
 *
 * @throws Problem VALIDATION_FAILED on an IV or tag of another length, and as {@link encryptAesGcm}; KEY_AMBIGUOUS
 */
export async function decryptAesGcm(
  hsm: Hsm,
  keys: LabelKeys,
  request: GcmDecryption,
): Promise<{ plain: Buffer; id: number }> {
  const { keyLabel, id, cipher, iv, tag, aad } = request
  requireGcmDecryptionLabel(keyLabel)
  requireLength('iv', iv, IV_BYTES)
  requireLength('tag', tag, TAG_BYTES)
  const { key, value } = await keys.use(keyLabel, id, (found) => hsm.open(found, { iv, ciphertext: cipher, tag }, aad))
  return { plain: value, id: key.id }
}

function requireLength(member: string, bytes: Uint8Array, expected: number): void {
  if (bytes.length === expected) return
  throw new Problem('VALIDATION_FAILED', `${member}: got ${bytes.length} bytes, expected ${expected} for AES-GCM`)
}
