import { Pkcs11PoolError } from 'pkcs11-pool'
import { WrongAnswer } from '../load/check.js'
import { SLACK_MS } from '../settings.js'
import type { Invariant, Violation } from '../violation.js'

export type Outcome = 'fulfilled' | 'rejected' | 'unsettled'

/** Errors that say what is not so: the keys of the load are on the token, once each. */
const MISLEADING: ReadonlySet<string> = new Set(['KEY_NOT_FOUND', 'KEY_AMBIGUOUS'])

/** A key of a `fresh` label, which the load made in the same operation. */
const JUST_MADE = /^no key with label "made \d+\+?"/

/** The library broke a promise of its own; or it takes for wrong what the load asks for, which it is not. */
const NEVER: ReadonlySet<string> = new Set(['INTERNAL', 'INVALID_ARGUMENT', 'INVALID_OPTION'])

/** Sees each promise of a cell settle, and judges what it settles with. */
export class Witness {
  readonly violations: Violation[] = []
  readonly tally: Record<Outcome, number> = { fulfilled: 0, rejected: 0, unsettled: 0 }
  /** the latest that a promise settled after its deadline, in milliseconds */
  latestMs = 0

  violated(invariant: Invariant, detail: string): void {
    // The same thing many times over says no more.
    const known = this.violations.filter((each) => each.invariant === invariant).length
    if (known < 5) this.violations.push({ invariant, detail })
  }

  /** Waits for a promise that has to settle within `limitMs`. What it rejects with is for the caller to see, too. */
  async see<R>(
    what: string,
    limitMs: number,
    promise: Promise<R>,
    signal?: AbortSignal,
  ): Promise<{ outcome: Outcome; value?: R; reason?: unknown }> {
    const begun = performance.now()
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<'unsettled'>((resolve) => {
      timer = setTimeout(resolve, limitMs + SLACK_MS, 'unsettled')
    })
    try {
      const first = await Promise.race([promise.then((value) => ({ value })), late])
      if (first !== 'unsettled') return { outcome: this.#count('fulfilled'), value: first.value }
      this.violated('settled', `${what} had not settled ${SLACK_MS} ms after its ${limitMs} ms`)
      return { outcome: this.#count('unsettled') }
    } catch (reason) {
      this.#judge(what, reason, signal)
      return { outcome: this.#count('rejected'), reason }
    } finally {
      clearTimeout(timer)
      this.latestMs = Math.max(this.latestMs, performance.now() - begun - limitMs)
    }
  }

  #count(outcome: Outcome): Outcome {
    this.tally[outcome] += 1
    return outcome
  }

  #judge(what: string, reason: unknown, signal: AbortSignal | undefined): void {
    if (reason instanceof WrongAnswer) {
      this.violated('answers', reason.message)
    } else if (reason instanceof Pkcs11PoolError) {
      const told = `${what} rejected with ${reason.code}: ${reason.message}`
      if (MISLEADING.has(reason.code)) this.violated(JUST_MADE.test(reason.message) ? 'made' : 'answers', told)
      if (NEVER.has(reason.code) || reason.category === undefined) this.violated('typed', told)
    } else if (signal === undefined || reason !== signal.reason) {
      this.violated(
        'typed',
        `${what} rejected with ${reason instanceof Error ? (reason.stack ?? reason.message) : String(reason)}`,
      )
    }
  }
}
