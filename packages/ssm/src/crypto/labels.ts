import { Problem } from '../problems/problem.js'

/** The key under which the stored external keys are given back to their owner, encrypted. */
export const OWN_COPY_LABEL = 'SSM_ENC_KEY'

/** Labels of the service's own keys: no route reads, lists, deletes or uses them. */
const RESERVED_LABELS: ReadonlySet<string> = new Set([
  OWN_COPY_LABEL,
  'ENCRYPTION_KEY_INTERNAL_AES256',
  'ENCRYPTION_KEY_INTERNAL_AES128',
  'AUDIT_SIGNING_KEY',
  'JWT_SIGNING_KEY',
])

export function isReserved(label: string): boolean {
  return RESERVED_LABELS.has(label)
}

/** @throws Problem VALIDATION_FAILED on a label of the service's own keys */
export function refuseReserved(label: string): void {
  if (!isReserved(label)) return
  throw new Problem('VALIDATION_FAILED', `key_label: ${label} is reserved for the service itself; use another label`)
}
