import { Pkcs11PoolError } from '../errors.js'
import type { Clock } from '../internal/clock.js'
import { isPromiseLike } from '../internal/promise-like.js'
import type { DestroyReason, PoolFactory } from './factory.js'

/** What the pool is told. */
export interface DestructionHooks {
  failed(error: unknown, reason: DestroyReason): void
  /** A destroy let go of its place. */
  freed(): void
}

/**
 * The destroys under way. A resource is out of the pool's size as soon as it is given here, but it holds a place under the maximum
 * until its destroy has settled: the other side counts it until then, and one more opened meanwhile could be one too many.
 * A destroy that hangs would so take a place for ever; after `createTimeoutMs` the place is given up.
 */
export class Destructions<T> {
  #pending = 0
  #stalled = 0
  readonly #factory: PoolFactory<T>
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #hooks: DestructionHooks

  constructor(factory: PoolFactory<T>, clock: Clock, timeoutMs: number, hooks: DestructionHooks) {
    this.#factory = factory
    this.#clock = clock
    this.#timeoutMs = timeoutMs
    this.#hooks = hooks
  }

  get pending(): number {
    return this.#pending
  }

  get stalled(): number {
    return this.#stalled
  }

  /** Destroys one resource. When that is done at once its place is free on return, and `freed` is not called. */
  destroy(resource: T, reason: DestroyReason): void {
    // Counted before the factory runs: it may call back into the pool, which must not fill the place yet.
    this.#pending += 1
    try {
      const outcome = this.#factory.destroy(resource, reason)
      if (isPromiseLike(outcome)) return this.#watch(outcome, reason)
    } catch (error) {
      this.#hooks.failed(error, reason)
    }
    this.#pending -= 1
  }

  #watch(outcome: PromiseLike<unknown>, reason: DestroyReason): void {
    let holdsPlace = true
    const timer = this.#clock.setTimeout(() => {
      holdsPlace = false
      this.#pending -= 1
      this.#stalled += 1
      this.#hooks.failed(this.#timeout(), reason)
      this.#hooks.freed()
    }, this.#timeoutMs)
    const settle = () => {
      timer.cancel()
      if (holdsPlace) this.#pending -= 1
      else this.#stalled -= 1
      this.#hooks.freed()
    }
    Promise.resolve(outcome).then(settle, (error) => {
      if (holdsPlace) this.#hooks.failed(error, reason)
      settle()
    })
  }

  #timeout(): Pkcs11PoolError {
    return new Pkcs11PoolError(
      'OPERATION_TIMEOUT',
      `destroying a connection did not finish within createTimeoutMs ${this.#timeoutMs}; it may still be open, and its place is used again`,
    )
  }
}
