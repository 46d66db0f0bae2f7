import { Pkcs11PoolError } from '../errors.js'
import { type Clock, systemClock } from '../internal/clock.js'
import { LinkedList } from '../internal/linked-list.js'
import { isPromiseLike } from '../internal/promise-like.js'
import { Creations } from './creations.js'
import { Destructions } from './destructions.js'
import { type Entry, PoolEntry, type Trace } from './entry.js'
import { acquireTimeout, createFailure, poolClosed, queueFull, validateTimeout } from './errors.js'
import { PoolEmitter, type PoolEventName, type PoolListener } from './events.js'
import type { DestroyReason, PoolFactory } from './factory.js'
import { FillBackoff } from './fill-backoff.js'
import { Housekeeper, housekeepingInterval } from './housekeeper.js'
import { Lease, released } from './lease.js'
import {
  type AcquireOptions,
  type CloseOptions,
  checkAcquireOptions,
  checkRange,
  type PoolOptions,
  type PoolSizes,
  type ResolvedPoolOptions,
  resolveCloseTimeout,
  resolveOptions,
  resolveSizes,
} from './options.js'
import { Counters, type PoolStats } from './stats.js'
import { Waiter, WaitList } from './wait-list.js'

/** What a pool gets from its surroundings; tests put their own in. */
export interface PoolRuntime {
  /** @defaultValue the process's monotonic clock, with timers that do not keep the process alive */
  clock?: Clock | undefined
  /** Chance, 0 to 1, for jitter. @defaultValue Math.random */
  random?: (() => number) | undefined
}

type Below = (...args: never[]) => unknown

/**
 * A pool of resources that are expensive to make. Made by {@link createPool}.
 *
 * An entry is in one of two lists, idle or in use, so that `currentSize = available + inUse` by construction. Waiters are a third.
 * Whatever happens (an acquire, a release, a creation that ends, a timer) changes these and then calls `#schedule`, which alone
 * decides who is served by what. Everything is synchronous but the factory's calls, and what comes back from one of those is judged
 * by the state that holds then (closed? another generation? too many?), never by the state that held when it was made.
 */
export class Pool<T> {
  readonly #factory: PoolFactory<T>
  readonly #options: ResolvedPoolOptions
  readonly #clock: Clock
  readonly #random: () => number
  readonly #emitter = new PoolEmitter<T>()
  readonly #counters = new Counters()

  readonly #idle = new LinkedList<PoolEntry<T>>()
  readonly #inUse = new LinkedList<PoolEntry<T>>()
  readonly #waiters: WaitList<T>
  readonly #creations: Creations<T>
  readonly #destructions: Destructions<T>
  readonly #backoff: FillBackoff
  readonly #housekeeper: Housekeeper
  readonly #tracing: boolean
  readonly #toLease = (entry: PoolEntry<T>): Lease<T> => new Lease(this, entry)
  readonly #onAbort = (waiter: Waiter<T>): void => this.#aborted(waiter)

  #maxSize: number
  #minSize: number
  #limit = Number.POSITIVE_INFINITY
  #generation = 0
  #validating = 0
  #scheduling = false
  #scheduleAgain = false
  #state: PoolStats['state'] = 'open'
  #closing: Promise<{ abandoned: number }> | undefined
  #finishClose: (() => void) | undefined

  constructor(factory: PoolFactory<T>, options: PoolOptions = {}, runtime: PoolRuntime = {}) {
    checkFactory(factory)
    this.#factory = factory
    this.#options = resolveOptions(options)
    this.#clock = runtime.clock ?? systemClock
    this.#random = runtime.random ?? Math.random
    this.#maxSize = this.#options.maxSize
    this.#minSize = this.#options.minSize
    this.#tracing = this.#options.leakThresholdMs !== Number.POSITIVE_INFINITY
    this.#waiters = new WaitList(this.#clock, (waiter) => this.#timedOut(waiter))
    this.#creations = new Creations(factory, this.#clock, this.#options.createTimeoutMs, {
      delivered: (resource, tookMs, unwanted) => this.#delivered(resource, tookMs, unwanted),
      failed: (cause) => this.#createFailed(cause),
      freed: () => this.#schedule(),
    })
    this.#destructions = new Destructions(factory, this.#clock, this.#options.createTimeoutMs, {
      failed: (error, reason) => this.#destroyFailed(error, reason),
      freed: () => this.#schedule(),
    })
    this.#backoff = new FillBackoff(this.#clock, this.#random, () => this.#schedule())
    this.#housekeeper = new Housekeeper(this.#clock, housekeepingInterval(this.#options), (now, awakeSince) =>
      this.#keepHouse(now, awakeSince),
    )
    this.#schedule()
  }

  /**
   * A lease on one resource: an idle one (the one used last) or, up to `maxSize`, a new one, or else the first to come free; first
   * come, first served. Its timer does not keep the process alive: if nothing else does, the process ends while this waits.
   *
   * @throws ACQUIRE_TIMEOUT after `timeoutMs`, CREATE_FAILED or CREATE_TIMEOUT when the creation that would have served it failed,
   * QUEUE_FULL when `maxWaiters` wait, POOL_CLOSED, INVALID_ARGUMENT; the reason of `signal` when that aborts
   */
  acquire(options?: AcquireOptions): Promise<Lease<T>> {
    return this.#acquire(options, this.#toLease, this.acquire)
  }

  /**
   * {@link acquire} for a layer on top that has a handle of its own: nothing is allocated but the promise and, where it has to
   * wait, the waiter. The entry is not guarded: who keeps one after giving it back uses what may be another's.
   */
  acquireEntry(options?: AcquireOptions): Promise<Entry<T>> {
    return this.#acquire(options, asItIs, this.acquireEntry)
  }

  /** An entry, when one is idle that needs no validation and nobody waits for it; allocates nothing. */
  tryAcquireEntry(owner?: string): Entry<T> | undefined {
    return this.#tryTake(owner, this.tryAcquireEntry)
  }

  /** Gives an entry back: to the oldest waiter, or to be idle. @throws SESSION_RELEASED unless it is leased from this pool */
  releaseEntry(entry: Entry<T>): void {
    const mine = this.#leased(entry, 'released')
    const now = this.#clock.now()
    this.#counters.released += 1
    if (this.#emitter.hears('released')) {
      this.#emitter.emit('released', { resource: mine.resource, heldMs: now - mine.acquiredAt })
    }
    mine.idleSince = now
    mine.goodAt = now
    this.#comesBack(mine, now)
    this.#schedule()
  }

  /** Gives an entry back that is not to be used again. @throws SESSION_RELEASED unless it is leased from this pool */
  destroyEntry(entry: Entry<T>, reason: DestroyReason = 'discarded'): void {
    const mine = this.#leased(entry, 'destroyed')
    this.#counters.released += 1
    if (this.#emitter.hears('released')) {
      this.#emitter.emit('released', { resource: mine.resource, heldMs: this.#clock.now() - mine.acquiredAt })
    }
    this.#retire(mine, reason)
    this.#schedule()
  }

  /**
   * Acquires, runs `fn`, and releases when it has settled, also when it threw; unless `fn` released or destroyed the lease itself.
   *
   * @throws what `fn` throws, and what {@link acquire} does
   */
  async use<R>(fn: (resource: T, lease: Lease<T>) => R | Promise<R>, options?: AcquireOptions): Promise<R> {
    const lease = await this.#acquire(options, this.#toLease, this.use)
    try {
      // The signal may have aborted between the hand-over and now.
      options?.signal?.throwIfAborted()
      return await fn(lease.resource, lease)
    } finally {
      lease[Symbol.dispose]()
    }
  }

  stats(): PoolStats {
    return {
      state: this.#state,
      maxSize: this.#maxSize,
      minSize: this.#minSize,
      effectiveMaxSize: this.#effectiveMaxSize,
      currentSize: this.#size,
      available: this.#idle.length,
      inUse: this.#inUse.length,
      validating: this.#validating,
      waiting: this.#waiters.length,
      creating: this.#creations.running,
      orphaned: this.#creations.orphaned,
      destroying: this.#destructions.pending,
      stalled: this.#creations.stalled + this.#destructions.stalled,
      ...this.#counters,
    }
  }

  /** Starts a new generation: what is idle is destroyed now, what is leased when it comes back, what is being made on arrival. */
  reset(): void {
    this.#generation += 1
    this.#creations.orphanAll()
    this.#backoff.clear()
    for (const entry of this.#idle.toArray()) this.#retire(entry, 'reset', undefined, this.#idle)
    this.#schedule()
  }

  /**
   * Changes the sizes and lifts what {@link limitTo} set. Idle resources beyond the new `maxSize` are destroyed now, leased ones when
   * they come back. A `minSize` that is not given gives way to a smaller `maxSize`.
   *
   * @throws INVALID_OPTION
   */
  resize(sizes: PoolSizes): void {
    const { minSize, maxSize } = resolveSizes(sizes, { minSize: this.#minSize, maxSize: this.#maxSize })
    this.#minSize = minSize
    this.#maxSize = maxSize
    this.#limit = Number.POSITIVE_INFINITY
    this.#schedule()
  }

  /**
   * Lowers the number of resources the pool may have, below `maxSize`, until {@link resize}, or `limitTo(Infinity)`, lifts it: for
   * when the other side has no more to give. Of 0, one remains, so that demand goes on trying.
   *
   * A factory that lowers the limit to what there is before its creation fails has the waiter wait for a release instead of being
   * told of the failure.
   *
   * @throws INVALID_ARGUMENT
   */
  limitTo(count: number): void {
    checkRange('INVALID_ARGUMENT', 'count', count, [0, 1_000_000, 'or Infinity'])
    this.#limit = Math.max(1, count)
    this.#schedule()
  }

  /**
   * Closes the pool: waiters are rejected with POOL_CLOSED and idle resources destroyed at once, creations told to stop; then it
   * waits until everything is back and ended, or `timeoutMs` have passed. Called again, it answers the same.
   *
   * @returns how many leases, creations and destroys had not ended; a lease that is released later is destroyed then
   * @throws INVALID_ARGUMENT
   */
  close(options?: CloseOptions): Promise<{ abandoned: number }> {
    if (this.#closing !== undefined) return this.#closing
    let timeoutMs: number
    try {
      timeoutMs = resolveCloseTimeout(options)
    } catch (error) {
      return Promise.reject(error)
    }
    this.#state = 'closing'
    this.#closing = new Promise((resolve) => {
      const timer = this.#clock.setTimeout(() => this.#finishClose?.(), timeoutMs)
      this.#finishClose = () => {
        this.#finishClose = undefined
        timer.cancel()
        this.#state = 'closed'
        const abandoned = this.#outstanding + this.#creations.stalled + this.#destructions.stalled
        if (this.#emitter.hears('closed')) this.#emitter.emit('closed', { abandoned })
        resolve({ abandoned })
      }
    })
    this.#housekeeper.stop()
    this.#backoff.clear()
    this.#waiters.stopTimer()
    for (let waiter = this.#waiters.takeFirst(); waiter; waiter = this.#waiters.takeFirst()) {
      waiter.reject(poolClosed('while this waited'))
    }
    this.#creations.abortAll(poolClosed('while a connection was being made'))
    for (const entry of this.#idle.toArray()) this.#retire(entry, 'closed', undefined, this.#idle)
    this.#schedule()
    if (timeoutMs === 0) this.#finishClose?.()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** @throws INVALID_ARGUMENT for an event there is not */
  on<E extends PoolEventName>(event: E, listener: PoolListener<T, E>): this {
    this.#emitter.on(event, listener)
    return this
  }

  /** @throws INVALID_ARGUMENT for an event there is not */
  off<E extends PoolEventName>(event: E, listener: PoolListener<T, E>): this {
    this.#emitter.off(event, listener)
    return this
  }

  get #size(): number {
    return this.#idle.length + this.#inUse.length
  }

  get #effectiveMaxSize(): number {
    return Math.min(this.#maxSize, this.#limit)
  }

  /** Places under the maximum that something holds that is not, or no longer, in the pool. */
  get #held(): number {
    return this.#creations.running + this.#creations.orphaned + this.#destructions.pending
  }

  /** What `close` waits for. */
  get #outstanding(): number {
    return this.#inUse.length + this.#held
  }

  #acquire<R>(options: AcquireOptions | undefined, wrap: (entry: PoolEntry<T>) => R, below: Below): Promise<R> {
    if (options !== undefined) {
      try {
        checkAcquireOptions(options)
      } catch (error) {
        return Promise.reject(error)
      }
      if (options.signal?.aborted) return Promise.reject(options.signal.reason)
    }
    const entry = this.#tryTake(options?.owner, below)
    if (entry !== undefined) return Promise.resolve(wrap(entry))
    if (this.#state !== 'open') return Promise.reject(poolClosed('before this acquire'))
    if (this.#waiters.length >= this.#options.maxWaiters) return Promise.reject(queueFull(this.#options.maxWaiters))
    return new Promise((resolve, reject) => {
      this.#waiters.add(
        new Waiter<T>(
          this.#clock.now(),
          options?.timeoutMs ?? this.#options.acquireTimeoutMs,
          options?.signal,
          options?.owner,
          this.#trace(below),
          (served) => resolve(wrap(served)),
          reject,
          this.#onAbort,
        ),
      )
      this.#schedule()
    })
  }

  #tryTake(owner: string | undefined, below: Below): PoolEntry<T> | undefined {
    const entry = this.#idle.first
    if (entry === undefined || this.#waiters.length > 0) return undefined
    const now = this.#clock.now()
    if (now >= entry.expiresAt || !this.#isFresh(entry, now)) return undefined
    this.#idle.remove(entry)
    this.#inUse.addLast(entry)
    this.#lease(entry, now, 0, owner, this.#trace(below))
    return entry
  }

  #trace(below: Below): Trace | undefined {
    if (!this.#tracing) return undefined
    const trace: Trace = { stack: '' }
    Error.captureStackTrace(trace, below)
    return trace
  }

  /** Whether an idle entry may be used without asking the factory. */
  #isFresh(entry: PoolEntry<T>, now: number): boolean {
    return this.#factory.validate === undefined || now - entry.goodAt < this.#options.validateIfIdleMs
  }

  #leased(entry: Entry<T>, verb: string): PoolEntry<T> {
    const mine = entry as PoolEntry<T>
    if (mine.list !== this.#inUse || mine.validating) throw released(verb)
    return mine
  }

  /** Begins a lease on an entry that is in `#inUse`. */
  #lease(
    entry: PoolEntry<T>,
    now: number,
    waitedMs: number,
    owner: string | undefined,
    trace: Trace | undefined,
  ): void {
    entry.acquiredAt = now
    entry.owner = owner
    entry.trace = trace
    entry.leakReported = false
    this.#counters.acquired += 1
    if (this.#emitter.hears('acquired')) this.#emitter.emit('acquired', { resource: entry.resource, waitedMs, owner })
  }

  /** Hands an entry that is in `#inUse` to the oldest waiter; false when nobody waits. */
  #handOver(entry: PoolEntry<T>, now: number): boolean {
    const waiter = this.#waiters.takeFirst()
    if (waiter === undefined) return false
    waiter.resolve(entry)
    this.#lease(entry, now, now - waiter.since, waiter.owner, waiter.trace)
    return true
  }

  /** Decides what becomes of an entry that is in `#inUse` and that nobody uses any more, or yet. */
  #comesBack(entry: PoolEntry<T>, now: number): void {
    const unfit = this.#unfit(entry, now)
    if (unfit !== undefined) return this.#retire(entry, unfit)
    if (this.#isFresh(entry, now) && this.#handOver(entry, now)) return
    this.#inUse.remove(entry)
    this.#idle.addFirst(entry)
    if (this.#options.idleTimeoutMs === 0) this.#trimIdle(now, Number.NEGATIVE_INFINITY)
  }

  /** Why an entry must not be used again, if it must not. */
  #unfit(entry: PoolEntry<T>, now: number): DestroyReason | undefined {
    if (this.#state !== 'open') return 'closed'
    if (entry.generation !== this.#generation) return 'reset'
    if (now >= entry.expiresAt) return 'lifetime'
    return this.#size > this.#effectiveMaxSize ? 'resize' : undefined
  }

  /** Takes an entry out of the pool for good. With `from`, only if it is in that list still. */
  #retire(entry: PoolEntry<T>, reason: DestroyReason, error?: unknown, from = entry.list): void {
    if (from === undefined || !from.remove(entry)) return
    this.#bury(entry.resource, reason, error)
  }

  #bury(resource: T, reason: DestroyReason, error?: unknown): void {
    this.#counters.destroyed += 1
    this.#destructions.destroy(resource, reason)
    if (this.#emitter.hears('destroyed')) {
      this.#emitter.emit('destroyed', error === undefined ? { resource, reason } : { resource, reason, error })
    }
  }

  /** The one place that decides; every event calls it. What it calls may call it again: that is one more round, not a recursion. */
  #schedule(): void {
    this.#scheduleAgain = true
    if (this.#scheduling) return
    this.#scheduling = true
    try {
      while (this.#scheduleAgain) {
        this.#scheduleAgain = false
        this.#round()
      }
    } finally {
      this.#scheduling = false
    }
  }

  #round(): void {
    if (this.#state !== 'open') {
      if (this.#outstanding === 0) this.#finishClose?.()
      return
    }
    this.#shrink()
    this.#serve()
    this.#create()
    this.#waiters.dismissImpatient(this.#validating)
  }

  /** Idle entries beyond the maximum go, those unused longest first. */
  #shrink(): void {
    while (this.#idle.last !== undefined && this.#size > this.#effectiveMaxSize) this.#retire(this.#idle.last, 'resize')
  }

  /** Idle entries serve the oldest waiters: at once where they are fresh, else after their validation, one for each waiter. */
  #serve(): void {
    while (this.#idle.first !== undefined && this.#waiters.length > 0) {
      const entry = this.#idle.first
      const now = this.#clock.now()
      const fresh = this.#isFresh(entry, now)
      if (now >= entry.expiresAt) {
        this.#retire(entry, 'lifetime')
      } else if (fresh || this.#waiters.length > this.#validating) {
        this.#idle.remove(entry)
        this.#inUse.addLast(entry)
        if (fresh) this.#handOver(entry, now)
        else this.#validate(entry)
      } else {
        return
      }
    }
  }

  /** One creation for each waiter that nothing under way will serve, then what is missing to `minSize`. */
  #create(): void {
    while (this.#waiters.length > this.#validating + this.#creations.running && this.#hasRoom) this.#creations.start()
    while (this.#size + this.#creations.running < this.#minSize && !this.#backoff.held && this.#hasRoom) {
      this.#creations.start()
    }
  }

  get #hasRoom(): boolean {
    return this.#size + this.#held < this.#effectiveMaxSize && this.#state === 'open'
  }

  #delivered(resource: T, tookMs: number, unwanted: DestroyReason | undefined): void {
    this.#counters.created += 1
    if (unwanted === undefined) {
      const now = this.#clock.now()
      const entry = new PoolEntry(resource, this.#generation, now, this.#lifetime())
      this.#backoff.clear()
      this.#inUse.addLast(entry)
      this.#settleNew(entry, now)
    } else {
      this.#bury(resource, unwanted)
    }
    if (this.#emitter.hears('created')) this.#emitter.emit('created', { resource, tookMs })
    this.#schedule()
  }

  /** A new entry is as good as can be: it needs no validation, and serves once however short its lifetime. */
  #settleNew(entry: PoolEntry<T>, now: number): void {
    if (this.#size > this.#effectiveMaxSize) return this.#retire(entry, 'resize')
    if (this.#handOver(entry, now)) return
    this.#inUse.remove(entry)
    this.#idle.addFirst(entry)
  }

  #lifetime(): number {
    return this.#options.maxLifetimeMs * (1 - (0.025 + 0.075 * this.#random()))
  }

  #createFailed(cause: unknown): void {
    const error = createFailure(cause)
    this.#counters.createFailures += 1
    const hopeless = error.category === 'credentials'
    this.#backoff.fail(!hopeless)
    if (hopeless) {
      // Whatever is tried for them fails alike; trying could lock the account.
      for (let waiter = this.#waiters.takeFirst(); waiter; waiter = this.#waiters.takeFirst()) {
        waiter.reject(createFailure(cause))
      }
    } else if (this.#waiters.length > this.#validating + this.#creations.running && !this.#isFull) {
      this.#waiters.takeFirst()?.reject(error)
    }
    if (this.#emitter.hears('createFailed')) {
      this.#emitter.emit('createFailed', { error, attempt: this.#backoff.failures })
    }
    this.#schedule()
  }

  /** No place for one more, so that a release, not a creation, is what waiters wait for. */
  get #isFull(): boolean {
    return this.#inUse.length > 0 && this.#size + this.#held >= this.#effectiveMaxSize
  }

  #destroyFailed(error: unknown, reason: DestroyReason): void {
    this.#counters.destroyFailures += 1
    if (this.#emitter.hears('destroyFailed')) this.#emitter.emit('destroyFailed', { error, reason })
  }

  /** Asks the factory whether an entry that is in `#inUse` is still good. */
  #validate(entry: PoolEntry<T>): void {
    entry.validating = true
    this.#validating += 1
    let verdict: boolean | Promise<boolean> | undefined
    try {
      verdict = this.#factory.validate?.(entry.resource)
    } catch (error) {
      return this.#validated(entry, false, error)
    }
    if (!isPromiseLike(verdict)) return this.#validated(entry, verdict === true)
    const { validateTimeoutMs } = this.#options
    const timer = this.#clock.setTimeout(
      () => this.#validated(entry, false, validateTimeout(validateTimeoutMs)),
      validateTimeoutMs,
    )
    Promise.resolve(verdict).then(
      (valid) => {
        timer.cancel()
        this.#validated(entry, valid === true)
      },
      (error) => {
        timer.cancel()
        this.#validated(entry, false, error)
      },
    )
  }

  #validated(entry: PoolEntry<T>, valid: boolean, error?: unknown): void {
    // False when the answer comes after the timeout: the entry is gone.
    if (!entry.validating) return
    entry.validating = false
    this.#validating -= 1
    const now = this.#clock.now()
    if (valid) {
      entry.goodAt = now
      const unfit = this.#unfit(entry, now)
      if (unfit !== undefined) this.#retire(entry, unfit)
      else if (!this.#handOver(entry, now)) {
        this.#inUse.remove(entry)
        this.#idle.addFirst(entry)
      }
    } else {
      this.#counters.validateFailures += 1
      this.#retire(entry, 'invalid', error)
    }
    this.#schedule()
  }

  #aborted(waiter: Waiter<T>): void {
    if (!this.#waiters.remove(waiter)) return
    waiter.reject(waiter.signal?.reason)
    this.#schedule()
  }

  #timedOut(waiter: Waiter<T>): void {
    const error = acquireTimeout(waiter.timeoutMs, this.stats())
    if (!this.#waiters.remove(waiter)) return
    waiter.reject(error)
    this.#counters.acquireTimeouts += 1
    if (this.#emitter.hears('timeout')) {
      this.#emitter.emit('timeout', { waitedMs: this.#clock.now() - waiter.since, owner: waiter.owner })
    }
    this.#schedule()
  }

  #keepHouse(now: number, awakeSince: number): void {
    for (const entry of this.#idle.toArray()) {
      if (now >= entry.expiresAt) this.#retire(entry, 'lifetime', undefined, this.#idle)
    }
    this.#trimIdle(now, awakeSince)
    this.#reportLeaks(now, awakeSince)
    this.#schedule()
  }

  #trimIdle(now: number, awakeSince: number): void {
    for (let entry = this.#idle.last; entry !== undefined && this.#size > this.#minSize; entry = this.#idle.last) {
      if (now - Math.max(entry.idleSince, awakeSince) < this.#options.idleTimeoutMs) return
      this.#retire(entry, 'idle')
    }
  }

  #reportLeaks(now: number, awakeSince: number): void {
    if (!this.#tracing) return
    for (const entry of this.#inUse.toArray()) {
      const heldMs = now - entry.acquiredAt
      const judgedMs = now - Math.max(entry.acquiredAt, awakeSince)
      if (entry.leakReported || entry.validating || judgedMs < this.#options.leakThresholdMs) continue
      entry.leakReported = true
      this.#counters.leaked += 1
      if (this.#emitter.hears('leak')) {
        const { resource, owner, trace } = entry
        this.#emitter.emit('leak', { resource, heldMs, owner, acquiredAt: trace?.stack ?? '' })
      }
    }
  }
}

function asItIs<E>(entry: E): E {
  return entry
}

function checkFactory(factory: Partial<PoolFactory<unknown>> | null | undefined): void {
  for (const name of ['create', 'destroy', 'validate'] as const) {
    const type = typeof factory?.[name]
    if (type === 'function' || (name === 'validate' && type === 'undefined')) continue
    throw new Pkcs11PoolError('INVALID_ARGUMENT', `factory.${name} is of type ${type}; expected a function`)
  }
}
