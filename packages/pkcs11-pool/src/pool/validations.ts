import type { Clock } from '../internal/clock.js'
import { isPromiseLike } from '../internal/promise-like.js'
import type { PoolEntry } from './entry.js'
import { validateTimeout } from './errors.js'
import type { PoolFactory } from './factory.js'

/** The validations under way. Their entries are in use, by nobody but their validation. */
export class Validations<T> {
  #pending = 0
  readonly #factory: PoolFactory<T>
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #settled: (entry: PoolEntry<T>, valid: boolean, error: unknown) => void

  /** `settled` is called once for each entry given to `start`: before that returns when the factory answers synchronously. */
  constructor(
    factory: PoolFactory<T>,
    clock: Clock,
    timeoutMs: number,
    settled: (entry: PoolEntry<T>, valid: boolean, error: unknown) => void,
  ) {
    this.#factory = factory
    this.#clock = clock
    this.#timeoutMs = timeoutMs
    this.#settled = settled
  }

  get pending(): number {
    return this.#pending
  }

  start(entry: PoolEntry<T>): void {
    entry.validating = true
    this.#pending += 1
    // Whatever the types say: an async function that returns nothing did not say yes.
    let verdict: unknown
    try {
      verdict = this.#factory.validate?.(entry.resource)
    } catch (error) {
      return this.#end(entry, false, error)
    }
    if (!isPromiseLike(verdict)) return this.#end(entry, verdict === true)
    const timer = this.#clock.setTimeout(
      () => this.#end(entry, false, validateTimeout(this.#timeoutMs)),
      this.#timeoutMs,
    )
    Promise.resolve(verdict).then(
      (valid) => {
        timer.cancel()
        this.#end(entry, valid === true)
      },
      (error) => {
        timer.cancel()
        this.#end(entry, false, error)
      },
    )
  }

  #end(entry: PoolEntry<T>, valid: boolean, error?: unknown): void {
    // An answer after the timeout: the entry was destroyed then, and is never validated again.
    if (!entry.validating) return
    entry.validating = false
    this.#pending -= 1
    this.#settled(entry, valid, error)
  }
}
