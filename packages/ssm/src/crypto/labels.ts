import { Problem } from '../problems/problem.js'

/** The key under which the stored external keys are given back to their owner, encrypted. */
const OWN_COPY_LABEL = 'SSM_ENC_KEY'

/** Labels of the service's own keys: no route reads, lists, deletes or uses them. */
const RESERVED_LABELS: ReadonlySet<string> = new Set([
  OWN_COPY_LABEL,
  'ENCRYPTION_KEY_INTERNAL_AES256',
  'ENCRYPTION_KEY_INTERNAL_AES128',
  'AUDIT_SIGNING_KEY',
  'JWT_SIGNING_KEY',
])

/** @throws Problem VALIDATION_FAILED on a label of the service's own keys */
export function refuseReserved(label: string): void {
  if (!RESERVED_LABELS.has(label)) return
  throw new Problem('VALIDATION_FAILED', `key_label: ${label} is reserved for the service itself; use another label`)
}
