import { Pkcs11PoolError } from '../errors.js'

/** What a failed use on one member means for the others: nothing more is asked; another may do it; another may have the key. */
export type Verdict = 'final' | 'elsewhere' | 'not found'

/** What a caller did wrong is as wrong elsewhere; and what is no error of the library's is an abort. */
export function verdictOf(error: unknown): Verdict {
  if (!(error instanceof Pkcs11PoolError)) return 'final'
  if (error.code === 'KEY_NOT_FOUND') return 'not found'
  return error.category === 'caller' ? 'final' : 'elsewhere'
}

/** Refused before anything of the call was sent, whatever category the refusal has. */
const NOT_SENT: ReadonlySet<string> = new Set([
  'QUEUE_FULL',
  'BREAKER_OPEN',
  'SESSION_LOST',
  'ACQUIRE_TIMEOUT',
  'CREATE_TIMEOUT',
  'CREATE_FAILED',
  'POOL_CLOSED',
  'CREDENTIALS_REJECTED',
])

/** Whether a write that failed certainly had no effect. What a token answers beside a caller's mistake may have come after the work was done. */
export function hadNoEffect(error: unknown): boolean {
  if (!(error instanceof Pkcs11PoolError)) return false
  const { code, category } = error
  return category === 'caller' || NOT_SENT.has(code) || (code === 'OPERATION_TIMEOUT' && category === 'overload')
}
