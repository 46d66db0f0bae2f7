import { CryptokiError } from '../errors.js'
import { judgesData } from '../pkcs11/judged-data.js'
import { describeRv, RETURN_VALUES } from '../pkcs11/return-values.js'

/** How calls that change nothing are made again after failures of the token. */
export interface RetryOptions {
  /** How often a call is made in all. 1: never again. @defaultValue 3 */
  maxAttempts?: number | undefined
  /** Milliseconds before the second attempt, of which up to half is taken off by chance. @defaultValue 20 */
  initialBackoffMs?: number | undefined
  /** The most that these milliseconds, doubled after each attempt, come to. @defaultValue 500 */
  maxBackoffMs?: number | undefined
  /**
   * The share of calls that may be made again: 0.1 is one for each ten that succeed, beside ten at once that are there to begin with.
   * So a token that fails them all is asked ten times more, and no oftener until it works again. @defaultValue 0.1
   */
  budget?: number | undefined
}

/** {@link RetryOptions} with every default filled in. */
export type ResolvedRetryOptions = Readonly<{ [K in keyof RetryOptions]-?: number }>

/** What is there to begin with, and the most that is saved up. */
const RESERVE = 10

/** Handled on its own, or not mended by being asked again. */
const NOT_AGAIN: ReadonlySet<number> = new Set([
  RETURN_VALUES.CKR_SESSION_COUNT.rv,
  RETURN_VALUES.CKR_BUFFER_TOO_SMALL.rv,
])

/**
 * Decides whether a call that failed on the token's side is made again, and when. Whoever asks knows that it is safe: that the call
 * leaves nothing behind which a second one would leave twice.
 */
export class Retries {
  /** calls made again, ever */
  made = 0
  /** those that were not for want of budget, ever */
  refused = 0
  readonly #options: ResolvedRetryOptions
  readonly #random: () => number
  #budget = RESERVE

  constructor(options: ResolvedRetryOptions, random: () => number = Math.random) {
    this.#options = options
    this.#random = random
  }

  /** A call succeeded. */
  succeeded(): void {
    if (this.#budget < RESERVE) this.#budget = Math.min(RESERVE, this.#budget + this.#options.budget)
  }

  /** Milliseconds to wait before a call is made again that has failed so many times; undefined where it is not to be. */
  next(error: unknown, attempts: number, leftMs: number): number | undefined {
    const { maxAttempts, initialBackoffMs, maxBackoffMs } = this.#options
    if (attempts >= maxAttempts || !isPassing(error)) return undefined
    const longestMs = Math.min(maxBackoffMs, initialBackoffMs * 2 ** (attempts - 1))
    const waitMs = longestMs * (1 - this.#random() / 2)
    if (waitMs >= leftMs) return undefined
    if (this.#budget < 1) {
      this.refused += 1
      return undefined
    }
    this.#budget -= 1
    this.made += 1
    return waitMs
  }
}

/** What another session, or the same token a moment later, may do: not what a caller, a PIN or the module is at fault for. */
function isPassing(error: unknown): boolean {
  if (!(error instanceof CryptokiError)) return false
  const { category, fn, rv } = error
  if (category !== 'session' && category !== 'token' && category !== 'overload') return false
  // What shows more is recovered from, and a token that is gone has opened the breaker.
  return !NOT_AGAIN.has(rv) && describeRv(rv).shows === undefined && !judgesData(fn)
}
