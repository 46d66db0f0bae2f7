import { Problem } from '../problems/problem.js'
import type { KeyFamily } from './algorithms.js'

/** The kinds of key that come from a SIM's maker: their label, and the lengths in bytes that their values may have. */
const EXTERNAL_KINDS = {
  K4_AES: { family: 'AES', bytes: [16, 32] },
  K4_DES: { family: 'DES', bytes: [8] },
  K4_DES3: { family: 'DES3', bytes: [24] },
} as const satisfies Record<string, { family: KeyFamily; bytes: readonly number[] }>

export const EXTERNAL_LABELS: readonly string[] = Object.keys(EXTERNAL_KINDS)

/**
 * The family of the external keys under a label.
 *
 * @throws Problem UNSUPPORTED_KEY_TYPE on a label that is none of theirs, INVALID_KEY_TYPE where `keyType` is not the label's
 */
export function externalFamily(keyLabel: string, keyType: string): KeyFamily {
  if (!isExternalLabel(keyLabel)) {
    throw new Problem(
      'UNSUPPORTED_KEY_TYPE',
      `key_label: expected one of ${EXTERNAL_LABELS.join(', ')}: no other keys are stored; keys of the service are generated`,
    )
  }
  const { family } = EXTERNAL_KINDS[keyLabel]
  if (keyType === family) return family
  const known = Object.values(EXTERNAL_KINDS).some((kind) => kind.family === keyType)
  throw new Problem(
    'INVALID_KEY_TYPE',
    `key_type: got ${known ? `"${keyType}"` : 'another text'}, expected "${family}" with key_label ${keyLabel}`,
  )
}

/** @throws Problem INVALID_KEY_SIZE */
export function requireKeySize(keyLabel: string, value: Uint8Array): void {
  if (!isExternalLabel(keyLabel)) return
  const { bytes }: { bytes: readonly number[] } = EXTERNAL_KINDS[keyLabel]
  if (bytes.includes(value.length)) return
  const hint = keyLabel === 'K4_DES3' && value.length === 16 ? '; a key of two parts, K1 and K2, is K1 K2 K1' : ''
  throw new Problem('INVALID_KEY_SIZE', `key_value: got ${value.length} bytes, expected ${bytes.join(' or ')}${hint}`)
}

export function isExternalLabel(label: string): label is keyof typeof EXTERNAL_KINDS {
  return Object.hasOwn(EXTERNAL_KINDS, label)
}
