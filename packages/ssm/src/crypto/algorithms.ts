import type { CipherMechanism } from '../hsm/hsm.js'
import { Problem } from '../problems/problem.js'
import { refuseReserved } from './labels.js'

/** The kind of key an algorithm works with. */
export type KeyFamily = 'AES' | 'DES' | 'DES3'

/** A number that clients send as `encryption_algorithm`, and what it stands for. */
export interface Algorithm {
  number: number
  name: string
  family: KeyFamily
  /** the label that keys for it carry */
  keyLabel: string
  /** `internal` keys are made here and encrypt; `external` keys are a SIM maker's and only decrypt */
  use: 'external' | 'internal'
}

const ALGORITHMS: readonly Algorithm[] = [
  { number: 1, name: 'AES256', family: 'AES', keyLabel: 'K4_AES', use: 'external' },
  { number: 2, name: 'AES128', family: 'AES', keyLabel: 'K4_AES', use: 'external' },
  { number: 3, name: 'DES', family: 'DES', keyLabel: 'K4_DES', use: 'external' },
  { number: 4, name: 'DES3', family: 'DES3', keyLabel: 'K4_DES3', use: 'external' },
  { number: 5, name: 'AES256_OurUsers', family: 'AES', keyLabel: 'KEY_ENCRYPTION_AES256', use: 'internal' },
  { number: 6, name: 'AES128_OurUsers', family: 'AES', keyLabel: 'KEY_ENCRYPTION_AES128', use: 'internal' },
  { number: 7, name: 'DES_OurUsers', family: 'DES', keyLabel: 'KEY_ENCRYPTION_DES', use: 'internal' },
  { number: 8, name: 'DES3_OurUsers', family: 'DES3', keyLabel: 'KEY_ENCRYPTION_DES3', use: 'internal' },
]

/** Under which label AES-GCM encrypts: number 9, which no request takes, because it has routes of its own. */
const GCM_KEY_LABEL = 'KEY_ENCRYPTION_AES256'

const MECHANISMS = {
  AES: { ivBytes: 16, padded: 'CKM_AES_CBC_PAD', unpadded: 'CKM_AES_CBC', withoutIv: 'CKM_AES_ECB' },
  DES: { ivBytes: 8, padded: 'CKM_DES_CBC_PAD', unpadded: 'CKM_DES_CBC', withoutIv: 'CKM_DES_ECB' },
  DES3: { ivBytes: 8, padded: 'CKM_DES3_CBC_PAD', unpadded: 'CKM_DES3_CBC', withoutIv: 'CKM_DES3_ECB' },
} as const

/** The initialisation vector's length in bytes, which is the cipher's block. */
export function ivBytes(algorithm: Algorithm): number {
  return MECHANISMS[algorithm.family].ivBytes
}

/**
 * The algorithm to encrypt with under `keyLabel`.
 *
 * @throws Problem UNSUPPORTED_ALGORITHM, INVALID_KEY_TYPE where the label's keys are for another, VALIDATION_FAILED on a reserved label
 */
export function encryptionAlgorithm(number: number, keyLabel: string, legacyAlgorithms: boolean): Algorithm {
  const algorithm = ALGORITHMS.find((candidate) => candidate.number === number)
  if (algorithm?.use !== 'internal') {
    throw new Problem('UNSUPPORTED_ALGORITHM', `encryption_algorithm: got ${number}, expected 5, 6, 7 or 8 to encrypt`)
  }
  if (algorithm.family !== 'AES' && !legacyAlgorithms) {
    throw new Problem(
      'UNSUPPORTED_ALGORITHM',
      `encryption_algorithm: got ${number} (${algorithm.name}), expected 5 or 6: encrypting with DES and DES3 is off unless ` +
        'the operator allows legacy algorithms (SSM_LEGACY_ALGORITHMS=true)',
    )
  }
  const owner = ownerOf(keyLabel)
  if (owner !== undefined && owner.keyLabel !== algorithm.keyLabel) throw labelMismatch(owner, expectedLabel(algorithm))
  return algorithm
}

/**
 * The algorithm to decrypt with under `keyLabel`. Which of two AES sizes is meant makes no difference here: the key decides.
 *
 * @throws Problem UNSUPPORTED_ALGORITHM, INVALID_KEY_TYPE where the label's keys are of another family, VALIDATION_FAILED on a reserved label
 */
export function decryptionAlgorithm(number: number, keyLabel: string): Algorithm {
  const algorithm = ALGORITHMS.find((candidate) => candidate.number === number)
  if (algorithm === undefined) {
    throw new Problem('UNSUPPORTED_ALGORITHM', `encryption_algorithm: got ${number}, expected 1 to 8 to decrypt`)
  }
  const owner = ownerOf(keyLabel)
  if (owner !== undefined && owner.family !== algorithm.family) throw labelMismatch(owner, expectedLabel(algorithm))
  return algorithm
}

/** @throws Problem INVALID_KEY_TYPE where the label's keys are not for AES-GCM, VALIDATION_FAILED on a reserved label */
export function requireGcmEncryptionLabel(keyLabel: string): void {
  const owner = ownerOf(keyLabel)
  if (owner !== undefined && owner.keyLabel !== GCM_KEY_LABEL) throw labelMismatch(owner, GCM_KEY_LABEL)
}

/** As of every decryption, the key decides which AES it is. @throws Problem as {@link requireGcmEncryptionLabel} */
export function requireGcmDecryptionLabel(keyLabel: string): void {
  const owner = ownerOf(keyLabel)
  if (owner !== undefined && owner.family !== 'AES') throw labelMismatch(owner, GCM_KEY_LABEL)
}

/** The PKCS#11 mechanism: CBC with an IV, ECB without one. */
export function cipherMechanism(
  algorithm: Algorithm,
  iv: Uint8Array | undefined,
  padding: 'pkcs7' | 'none' = 'pkcs7',
): CipherMechanism {
  const { padded, unpadded, withoutIv } = MECHANISMS[algorithm.family]
  if (iv === undefined) return { mechanism: withoutIv }
  return { mechanism: padding === 'none' ? unpadded : padded, iv }
}

/** A label of the table belongs to its algorithm; any other label is the operator's own. */
function ownerOf(keyLabel: string): Algorithm | undefined {
  refuseReserved(keyLabel)
  return ALGORITHMS.find((candidate) => candidate.keyLabel === keyLabel)
}

function expectedLabel({ keyLabel, number, name }: Algorithm): string {
  return `${keyLabel} with encryption_algorithm ${number} (${name})`
}

function labelMismatch(owner: Algorithm, expected: string): Problem {
  return new Problem(
    'INVALID_KEY_TYPE',
    `key_label: got ${owner.keyLabel}, whose keys are for ${owner.family}${owner.use === 'external' ? ' and only decrypt' : ''}, ` +
      `expected ${expected}`,
  )
}
