import { requireGcmDecryptionLabel, requireGcmEncryptionLabel } from '../crypto/algorithms.js'
import type { Hsm, Sealed } from '../hsm/hsm.js'
import type { LabelKeys } from '../hsm/label-keys.js'
import { Problem } from '../problems/problem.js'
import type { Plan } from './plan.js'

const IV_BYTES = 12
const TAG_BYTES = 16

/** What is to be encrypted and authenticated. */
export interface GcmEncryption {
  keyLabel: string
  plain: Uint8Array
  aad: Uint8Array | undefined
}

/** @throws Problem INVALID_KEY_TYPE where the label's keys are not for AES-GCM, VALIDATION_FAILED on a reserved label */
export function planEncryptAesGcm({ keyLabel, plain, aad }: GcmEncryption) {
  requireGcmEncryptionLabel(keyLabel)
  return { label: keyLabel, id: undefined, step: { op: 'seal', data: plain, aad } as const } satisfies Plan
}

/** Encrypts and authenticates with some key under a label. @throws Problem KEY_NOT_FOUND, and as {@link planEncryptAesGcm} */
export async function encryptAesGcm(
  hsm: Hsm,
  keys: LabelKeys,
  request: GcmEncryption,
): Promise<Sealed & { id: number }> {
  const { label, step } = planEncryptAesGcm(request)
  const { key, value } = await keys.useAny(label, (picked) => hsm.seal(picked, step.data, step.aad))
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

/** @throws Problem VALIDATION_FAILED on an IV or tag of another length, and as {@link planEncryptAesGcm} */
export function planDecryptAesGcm({ keyLabel, id, cipher, iv, tag, aad }: GcmDecryption) {
  requireGcmDecryptionLabel(keyLabel)
  requireLength('iv', iv, IV_BYTES)
  requireLength('tag', tag, TAG_BYTES)
  const step = { op: 'open', sealed: { iv, ciphertext: cipher, tag }, aad } as const
  return { label: keyLabel, id, step } satisfies Plan
}

/**
 * Decrypts what {@link encryptAesGcm} or anybody else with the key has made.
 *
 * @throws Problem KEY_NOT_FOUND, KEY_AMBIGUOUS, and as {@link planDecryptAesGcm}
 */
export async function decryptAesGcm(
  hsm: Hsm,
  keys: LabelKeys,
  request: GcmDecryption,
): Promise<{ plain: Buffer; id: number }> {
  const { label, id, step } = planDecryptAesGcm(request)
  const { key, value } = await keys.use(label, id, (found) => hsm.open(found, step.sealed, step.aad))
  return { plain: value, id: key.id }
}

function requireLength(member: string, bytes: Uint8Array, expected: number): void {
  if (bytes.length === expected) return
  throw new Problem('VALIDATION_FAILED', `${member}: got ${bytes.length} bytes, expected ${expected} for AES-GCM`)
}
