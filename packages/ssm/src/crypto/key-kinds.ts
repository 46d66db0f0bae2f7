import { Problem } from '../problems/problem.js'
import type { KeyFamily } from './algorithms.js'

/** An internal key as a route asks for it: made on the token, and never outside of it. */
export interface KeyKind {
  /** the label that all keys of the kind carry */
  label: string
  family: KeyFamily
  bits: number
}

/** The kinds of key that are made here. */
const INTERNAL_KINDS = {
  AES256: { label: 'KEY_ENCRYPTION_AES256', family: 'AES', bits: 256 },
  AES128: { label: 'KEY_ENCRYPTION_AES128', family: 'AES', bits: 128 },
  DES: { label: 'KEY_ENCRYPTION_DES', family: 'DES', bits: 64 },
  DES3: { label: 'KEY_ENCRYPTION_DES3', family: 'DES3', bits: 192 },
} as const satisfies Record<string, KeyKind>

/** @throws Problem INVALID_KEY_SIZE */
export function aesKind(bits: number): KeyKind {
  if (bits === 256) return INTERNAL_KINDS.AES256
  if (bits === 128) return INTERNAL_KINDS.AES128
  throw new Problem('INVALID_KEY_SIZE', `bits: got ${bits}, expected 128 or 256`)
}

/** @throws Problem UNSUPPORTED_ALGORITHM where the operator does not allow legacy algorithms */
export function legacyKind(name: 'DES' | 'DES3', legacyAlgorithms: boolean): KeyKind {
  if (legacyAlgorithms) return INTERNAL_KINDS[name]
  throw new Problem(
    'UNSUPPORTED_ALGORITHM',
    `making keys for ${name} is off unless the operator allows legacy algorithms (SSM_LEGACY_ALGORITHMS=true); make an AES key`,
  )
}
