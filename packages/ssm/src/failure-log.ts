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
    parts.push(onOneLine(at.message) + (problem.code === 'INTERNAL_ERROR' ? placesOf(at) : ''))
  }
  return parts.join(': ')
}

/** Where an error comes from. Its message stands before that in the stack, and may hold lines of its own. */
function placesOf({ stack = '', message }: Error): string {
  const end = stack.indexOf(message)
  return end < 0 ? '' : stack.slice(end + message.length)
}

/** A message may repeat what a client or a token sent: that must not look like a line of ours, or tell a terminal what to do. */
function onOneLine(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (each) => `\\u${(each.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  )
}
