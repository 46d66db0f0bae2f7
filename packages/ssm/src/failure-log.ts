import type { Problem, ProblemCode } from './problems/problem.js'

/** How often, in milliseconds, one kind of failure is told. */
const INTERVAL_MS = 1_000

interface Told {
  at: number
  untold: number
}

/**
 * Tells an operator why requests fail: one line a kind of failure and interval, so that an HSM that is away for a thousand requests a second
 * does not fill the log. The lines hold codes and the library's messages, never what a request carried.
 */
export class FailureLog {
  readonly #write: (line: string) => void
  readonly #now: () => number
  readonly #told = new Map<ProblemCode, Told>()

  /** @param now milliseconds of a clock that never goes back */
  constructor(write: (line: string) => void, now: () => number = () => performance.now()) {
    this.#write = write
    this.#now = now
  }

  record(problem: Problem): void {
    const last = this.#told.get(problem.code)
    if (last !== undefined && this.#now() - last.at < INTERVAL_MS) {
      last.untold++
      return
    }
    const more = last !== undefined && last.untold > 0 ? ` (and ${last.untold} more since)` : ''
    this.#told.set(problem.code, { at: this.#now(), untold: 0 })
    this.#write(`ssm: ${problem.code}${more}: ${describeCauses(problem)}`)
  }
}

/** The whole chain of causes; a stack only where the cause is a defect, which nobody could find without one. */
function describeCauses(problem: Problem): string {
  const parts: string[] = []
  for (let at: unknown = problem.cause ?? problem; at instanceof Error; at = at.cause) {
    parts.push(problem.code === 'INTERNAL_ERROR' ? (at.stack ?? at.message) : at.message)
  }
  return parts.join(': ')
}
