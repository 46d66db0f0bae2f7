import { Pkcs11PoolError } from '../errors.js'
import { type Clock, systemClock } from '../internal/clock.js'
import { close } from './closing.js'
import { type Below, PoolCore } from './core.js'
import type { Entry, PoolEntry } from './entry.js'
import type { PoolEventName, PoolListener } from './events.js'
import type { DestroyReason, PoolFactory } from './factory.js'
import { Lease } from './lease.js'
import {
  type AcquireOptions,
  type CloseOptions,
  checkAcquireOptions,
  checkLimit,
  type PoolOptions,
  type PoolSizes,
  resolveCloseTimeout,
  resolveOptions,
  resolveSizes,
} from './options.js'
import { probeIdle } from './probing.js'
import type { PoolStats } from './stats.js'

/** What a pool gets from its surroundings; tests put their own in. */
export interface PoolRuntime {
  /** @defaultValue the process's monotonic clock, with timers that do not keep the process alive */
  clock?: Clock | undefined
  /** Chance, 0 to 1, for jitter. @defaultValue Math.random */
  random?: (() => number) | undefined
}

/** A pool of resources that are expensive to make. Made by {@link createPool}. */
export class Pool<T> {
  readonly #core: PoolCore<T>
  readonly #toLease = (entry: PoolEntry<T>): Lease<T> => new Lease(this, entry)

  constructor(factory: PoolFactory<T>, options: PoolOptions = {}, runtime: PoolRuntime = {}) {
    checkFactory(factory)
    const { clock = systemClock, random = Math.random } = runtime
    this.#core = new PoolCore(factory, resolveOptions(options), clock, random)
    this.#core.schedule()
  }

  /**
   * A lease on one resource: an idle one (the one used last) or, up to `maxSize`, a new one, or else the first to come free; first
   * come, first served. The timer of a wait does not keep the process alive: if nothing else does, the process ends meanwhile.
   *
   * @throws ACQUIRE_TIMEOUT after `timeoutMs`, CREATE_FAILED or CREATE_TIMEOUT when the creation that would have served it failed,
   * QUEUE_FULL when `maxWaiters` wait, POOL_CLOSED, INVALID_ARGUMENT; the reason of `signal` when that aborts
   */
  acquire(options?: AcquireOptions): Promise<Lease<T>> {
    return acquire(this.#core, options, this.#toLease, this.acquire)
  }

  /**
   * {@link acquire} for a layer on top that has a handle of its own: nothing is allocated but the promise and, where it has to
   * wait, the waiter. The entry is not guarded: who keeps one after giving it back uses what may be another's.
   */
  acquireEntry(options?: AcquireOptions): Promise<Entry<T>> {
    return acquire(this.#core, options, asItIs, this.acquireEntry)
  }

  /** An entry, when one is idle that needs no validation and nobody waits for it; allocates nothing. */
  tryAcquireEntry(owner?: string): Entry<T> | undefined {
    return this.#core.tryTake(owner, this.tryAcquireEntry)
  }

  /** Gives an entry back: to the oldest waiter, or to be idle. @throws SESSION_RELEASED unless it is leased from this pool */
  releaseEntry(entry: Entry<T>): void {
    this.#core.giveBack(entry, undefined)
  }

  /** Gives an entry back that is not to be used again. @throws SESSION_RELEASED unless it is leased from this pool */
  destroyEntry(entry: Entry<T>, reason: DestroyReason = 'discarded'): void {
    this.#core.giveBack(entry, reason)
  }

  /**
   * Acquires, runs `fn`, and releases when it has settled, also when it threw; unless `fn` released or destroyed the lease itself.
   *
   * @throws what `fn` throws, and what {@link acquire} does
   */
  async use<R>(fn: (resource: T, lease: Lease<T>) => R | Promise<R>, options?: AcquireOptions): Promise<R> {
    const lease = await acquire(this.#core, options, this.#toLease, this.use)
    try {
      // The signal may have aborted between the hand-over and now.
      options?.signal?.throwIfAborted()
      return await fn(lease.resource, lease)
    } finally {
      lease[Symbol.dispose]()
    }
  }

  /** The pool at this moment. */
  stats(): PoolStats {
    return this.#core.stats()
  }

  /** Starts a new generation: what is idle is destroyed now, what is leased when it comes back, what is being made on arrival. */
  reset(): void {
    this.#core.reset()
  }

  /**
   * Changes the sizes and lifts what {@link limitTo} set. Idle resources beyond the new `maxSize` are destroyed now, leased ones when
   * they come back. A `minSize` that is not given gives way to a smaller `maxSize`.
   *
   * @throws INVALID_OPTION
   */
  resize(sizes: PoolSizes): void {
    const { minSize, maxSize } = resolveSizes(sizes, this.#core.minSize, this.#core.maxSize)
    this.#core.resize(minSize, maxSize)
  }

  /**
   * Lowers the number of resources the pool may have, below `maxSize`, until {@link resize}, or `limitTo(Infinity)`, lifts it: for
   * when the other side has no more to give. Of 0, one remains, so that demand goes on trying.
   *
   * @throws INVALID_ARGUMENT
   */
  limitTo(count: number): void {
    checkLimit(count)
    this.#core.limitTo(count)
  }

  /** Validates what is idle and was not known to be good for so many milliseconds, without counting as a use of it. */
  probeIdle(unknownForMs: number): void {
    probeIdle(this.#core, unknownForMs)
  }

  /** Ends the waiting of all who wait, with what `error` makes for each. */
  rejectWaiting(error: () => unknown): void {
    this.#core.rejectWaiting(error)
  }

  /**
   * Closes the pool: waiters are rejected with POOL_CLOSED and idle resources destroyed at once, creations told to stop; then it
   * waits until everything is back and ended, or `timeoutMs` have passed. Called again, it answers the same.
   *
   * @returns how many leases, creations and destroys had not ended; a lease that is released later is destroyed then
   * @throws INVALID_ARGUMENT
   */
  async close(options?: CloseOptions): Promise<{ abandoned: number }> {
    return this.#core.closing ?? close(this.#core, resolveCloseTimeout(options))
  }

  /** {@link close} with its default timeout, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /**
   * Calls `listener` at each event, synchronously; what it throws becomes a process warning.
   *
   * @throws INVALID_ARGUMENT for an event there is not
   */
  on<E extends PoolEventName>(event: E, listener: PoolListener<T, E>): this {
    this.#core.emitter.on(event, listener)
    return this
  }

  /** Takes a listener off. @throws INVALID_ARGUMENT for an event there is not */
  off<E extends PoolEventName>(event: E, listener: PoolListener<T, E>): this {
    this.#core.emitter.off(event, listener)
    return this
  }
}

function acquire<T, R>(
  core: PoolCore<T>,
  options: AcquireOptions | undefined,
  wrap: (entry: PoolEntry<T>) => R,
  below: Below,
): Promise<R> {
  if (options !== undefined) {
    try {
      checkAcquireOptions(options)
    } catch (error) {
      return Promise.reject(error)
    }
    if (options.signal?.aborted) return Promise.reject(options.signal.reason)
  }
  const entry = core.tryTake(options?.owner, below)
  return entry === undefined ? core.wait(options, wrap, below) : Promise.resolve(wrap(entry))
}

function asItIs<E>(entry: E): E {
  return entry
}

function checkFactory(factory: Partial<PoolFactory<unknown>> | null | undefined): void {
  for (const name of ['create', 'destroy', 'validate', 'exhausted'] as const) {
    const type = typeof factory?.[name]
    const optional = name === 'validate' || name === 'exhausted'
    if (type === 'function' || (optional && type === 'undefined')) continue
    throw new Pkcs11PoolError('INVALID_ARGUMENT', `factory.${name} is of type ${type}; expected a function`)
  }
}
