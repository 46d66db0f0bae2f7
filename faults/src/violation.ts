/** What must hold in every cell, whatever the library makes of the fault. */
export const INVARIANTS = {
  settled: 'every promise settles by its deadline',
  answers: 'every answer is right',
  made: 'a key that was made a moment ago is found',
  typed: 'every error is of the library, with code and category, or the reason of the signal',
  sessions: 'no session stays open that nobody knows',
  login: 'a PIN fails once at most',
  misuse: 'nothing is done that PKCS#11 forbids',
  stats: 'the figures add up',
  loop: 'the event loop is never held up for more than 20 ms',
  service: 'when the fault is over, service returns without a restart',
  covered: 'every function that is called is one that the product covers',
  process: 'the process survives',
} as const

export type Invariant = keyof typeof INVARIANTS

/** One invariant that did not hold. */
export interface Violation {
  invariant: Invariant
  detail: string
}
