import { type Algorithm, cipherMechanism, ivBytes } from '../crypto/algorithms.js'
import type { Hsm } from '../hsm/hsm.js'
import type { LabelKeys, Used } from '../hsm/label-keys.js'
import { Problem } from '../problems/problem.js'
import type { Plan } from './plan.js'

/** What is to be decrypted, and with which key. */
export interface Decryption {
  keyLabel: string
  /** 0 means the only key under the label */
  id: number
  algorithm: Algorithm
  cipher: Uint8Array
  /** undefined decrypts in ECB mode */
  iv: Uint8Array | undefined
  padding: 'pkcs7' | 'none'
}

/** @throws Problem VALIDATION_FAILED on an IV of another length than the cipher's block */
export function planDecrypt({ keyLabel, id, algorithm, cipher, iv, padding }: Decryption) {
  const expected = ivBytes(algorithm)
  if (iv !== undefined && iv.length !== expected) {
    throw new Problem(
      'VALIDATION_FAILED',
      `iv: got ${iv.length} bytes, expected ${expected} for ${algorithm.family}, or "" for ECB`,
    )
  }
  const step = { op: 'decrypt', mechanism: cipherMechanism(algorithm, iv, padding), data: cipher } as const
  return { label: keyLabel, id, step } satisfies Plan
}

/** @throws Problem KEY_NOT_FOUND, KEY_AMBIGUOUS, and as {@link planDecrypt} */
export async function decrypt(hsm: Hsm, keys: LabelKeys, request: Decryption): Promise<Used<Buffer>> {
  const { label, id, step } = planDecrypt(request)
  return keys.use(label, id, (key) => hsm.decrypt(key, step.mechanism, step.data))
}
