import type { Rule } from 'pkcs11-chaos'

type Fault = Omit<Rule, 'on'>

/** Longer than any bound that the library is given here, so that the call returns when nobody waits for it any more. */
const LATE_MS = 250

/**
 * What can happen to a call: a return value of each category of the library's table (of `session` and `token` also those that show more
 * than their own call), a vendor's own, and what is no return value.
 */
export const FAULTS = {
  caller: { fail: 'CKR_ARGUMENTS_BAD' },
  session: { fail: 'CKR_GENERAL_ERROR' },
  closed: { fail: 'CKR_SESSION_CLOSED' },
  login: { fail: 'CKR_USER_NOT_LOGGED_IN' },
  token: { fail: 'CKR_DEVICE_ERROR' },
  gone: { fail: 'CKR_DEVICE_REMOVED' },
  module: { fail: 'CKR_CRYPTOKI_NOT_INITIALIZED' },
  credentials: { fail: 'CKR_PIN_INCORRECT' },
  overload: { fail: 'CKR_FUNCTION_FAILED' },
  vendor: { fail: 0x8000_0001 },
  // the module takes effect, and says that it failed
  lost: { fail: 'CKR_DEVICE_ERROR', phase: 'after' },
  slow: { delayMs: 10, times: 30 },
  late: { delayMs: LATE_MS },
  never: { hang: true },
  // the token ends every session while the call is on its way
  dropped: { act: 'dropSessions' },
} as const satisfies Record<string, Fault>

export type FaultName = keyof typeof FAULTS

/** Faults that hold a call up past its deadline. */
export const STALLING: ReadonlySet<FaultName> = new Set(['late', 'never'])

/** Return values that say that the session is not there any more, which here is not so: the library does not close what it takes for gone. */
export const SAY_ENDED: ReadonlySet<FaultName> = new Set(['closed', 'gone', 'module'])
