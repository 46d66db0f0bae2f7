import type { Clock } from '../internal/clock.js'
import { LinkedList } from '../internal/linked-list.js'
import { Creations } from './creations.js'
import { Destructions } from './destructions.js'
import { type Entry, PoolEntry, type Trace } from './entry.js'
import { acquireTimeout, createFailure, poolClosed, queueFull } from './errors.js'
import { PoolEmitter } from './events.js'
import type { DestroyReason, PoolFactory } from './factory.js'
import { FillBackoff } from './fill-backoff.js'
import { Growth } from './growth.js'
import { Housekeeper, housekeepingInterval } from './housekeeper.js'
import { released } from './lease.js'
import type { AcquireOptions, ResolvedPoolOptions } from './options.js'
import { type PoolStats, startCounting } from './stats.js'
import { keepHouse, trimIdle } from './upkeep.js'
import { Validations } from './validations.js'
import { Waiter, WaitList } from './wait-list.js'

/**
 * The state of one pool and its rules.
 *
 * An entry is in one of two lists, idle or in use, so that `currentSize = available + inUse` by construction. Waiters are a third.
 * Whatever happens (an acquire, a release, a creation that ends, a timer) changes these and then calls `schedule`, which alone
 * decides who is served by what. Everything is synchronous but the factory's calls, and what comes back from one of those is judged
 * by the state that holds then (closed? another generation? too many?), never by the state that held when it was made.
 *
 * The members are not `#private`: nothing outside `pool.ts` sees this class, and on Node 20 private methods and getters made half
 * the cost of a lease beside the reading of the clock (94 against 43 ns).
 */
export class PoolCore<T> {
  readonly emitter = new PoolEmitter<T>()
  readonly factory: PoolFactory<T>
  readonly options: ResolvedPoolOptions
  readonly clock: Clock
  readonly random: () => number
  readonly counters = startCounting()
  readonly idle = new LinkedList<PoolEntry<T>>()
  readonly inUse = new LinkedList<PoolEntry<T>>()
  readonly waiters: WaitList<T>
  readonly creations: Creations<T>
  readonly validations: Validations<T>
  readonly destructions: Destructions<T>
  readonly backoff: FillBackoff
  readonly growth: Growth
  readonly housekeeper: Housekeeper
  /** whether to record where a lease was acquired */
  readonly tracing: boolean
  /** whether idle entries have to be validated at all */
  readonly validates: boolean

  maxSize: number
  minSize: number
  effectiveMaxSize: number
  /** when the clock was last read */
  lastNow: number
  generation = 0
  state: PoolStats['state'] = 'open'
  closing: Promise<{ abandoned: number }> | undefined = undefined
  finishClose: (() => void) | undefined = undefined
  scheduling = false
  scheduleAgain = false

  constructor(factory: PoolFactory<T>, options: ResolvedPoolOptions, clock: Clock, random: () => number) {
    this.factory = factory
    this.options = options
    this.clock = clock
    this.random = random
    this.lastNow = clock.now()
    this.maxSize = options.maxSize
    this.minSize = options.minSize
    this.effectiveMaxSize = options.maxSize
    this.tracing = options.leakThresholdMs !== Number.POSITIVE_INFINITY
    this.validates = factory.validate !== undefined
    this.waiters = new WaitList(clock, {
      expired: (waiter) => this.expired(waiter),
      aborted: (waiter) => this.aborted(waiter),
    })
    this.creations = new Creations(factory, clock, options.createTimeoutMs, {
      delivered: (resource, tookMs, unwanted) => this.delivered(resource, tookMs, unwanted),
      failed: (cause) => this.createFailed(cause),
      freed: () => this.schedule(),
    })
    this.validations = new Validations(factory, clock, options.validateTimeoutMs, (entry, valid, error) =>
      this.validated(entry, valid, error),
    )
    this.destructions = new Destructions(factory, clock, options.createTimeoutMs, {
      failed: (error, reason) => this.destroyFailed(error, reason),
      freed: () => this.schedule(),
    })
    this.backoff = new FillBackoff(clock, random, () => this.schedule())
    this.growth = new Growth(clock, options.growAfterMs, () => this.schedule())
    this.housekeeper = new Housekeeper(clock, housekeepingInterval(options), (now, awakeSince) =>
      keepHouse(this, now, awakeSince),
    )
  }

  now(): number {
    this.lastNow = this.clock.now()
    return this.lastNow
  }

  get size(): number {
    return this.idle.length + this.inUse.length
  }

  /** Places under the maximum that something holds that is not, or no longer, in the pool. */
  get held(): number {
    return this.creations.running + this.creations.orphaned + this.destructions.pending
  }

  /** What `close` waits for. */
  get outstanding(): number {
    return this.inUse.length + this.held
  }

  get hasRoom(): boolean {
    return this.state === 'open' && this.size + this.held < this.effectiveMaxSize
  }

  /** Waiters that nothing under way will serve. */
  get unserved(): number {
    return this.waiters.length - this.validations.pending - this.creations.running
  }

  /** The entry used last, when it needs no validation and nobody waits. `below` is the function whose caller acquires. */
  tryTake(owner: string | undefined, below: Below): PoolEntry<T> | undefined {
    const entry = this.idle.first
    if (entry === undefined || this.waiters.length > 0) return undefined
    const now = this.now()
    if (now >= entry.expiresAt || !this.isFresh(entry, now)) return undefined
    this.idle.remove(entry)
    this.inUse.addLast(entry)
    this.lease(entry, now, 0, owner, this.tracing ? traceBelow(below) : undefined)
    return entry
  }

  /** Waits for an entry; `wrap` makes of it what the promise resolves to. */
  wait<R>(options: AcquireOptions | undefined, wrap: (entry: PoolEntry<T>) => R, below: Below): Promise<R> {
    if (this.state !== 'open') return Promise.reject(poolClosed('before this acquire'))
    if (this.waiters.length >= this.options.maxWaiters) return Promise.reject(queueFull(this.options.maxWaiters))
    return new Promise((resolve, reject) => {
      this.waiters.add(
        new Waiter<T>(
          this.now(),
          options?.timeoutMs ?? this.options.acquireTimeoutMs,
          options?.signal,
          options?.owner,
          this.tracing ? traceBelow(below) : undefined,
          wrap,
          resolve as (value: unknown) => void,
          reject,
        ),
      )
      this.schedule()
    })
  }

  /** The end of a lease: the entry is used again, or destroyed for the reason given. */
  giveBack(entry: Entry<T>, reason: DestroyReason | undefined): void {
    const mine = entry as PoolEntry<T>
    if (mine.list !== this.inUse || mine.validating) throw released(reason === undefined ? 'released' : 'destroyed')
    const now = this.timeOfReturn(reason)
    if (this.emitter.listeners.released !== undefined) {
      this.emitter.emit('released', { resource: mine.resource, heldMs: now - mine.acquiredAt })
    }
    this.counters.released += 1
    this.growth.leaseEnded(now - mine.acquiredAt)
    mine.goodAt = now
    const unfit = reason ?? this.unfit(mine, now)
    if (unfit !== undefined) this.retire(mine, unfit)
    else if (!this.isFresh(mine, now) || !this.handOver(mine, now)) this.putIdle(mine, now)
    this.schedule()
  }

  /**
   * Reading the clock is a sixth of a hand-over under contention, so there the last reading serves unless somebody wants exact
   * times. It is hardly old: each waiter that came read the clock, and so does the housekeeper. What hangs on it is only whether
   * the entry's lifetime has ended meanwhile.
   */
  timeOfReturn(reason: DestroyReason | undefined): number {
    const { acquired, released } = this.emitter.listeners
    const exact = this.tracing || acquired !== undefined || released !== undefined
    return exact || reason !== undefined || this.waiters.length === 0 ? this.now() : this.lastNow
  }

  /** Whether an entry may be used without asking the factory. */
  isFresh(entry: PoolEntry<T>, now: number): boolean {
    return !this.validates || now - entry.goodAt < this.options.validateIfIdleMs
  }

  /** Why an entry must not be used again, if it must not. */
  unfit(entry: PoolEntry<T>, now: number): DestroyReason | undefined {
    if (this.state !== 'open') return 'closed'
    if (entry.generation !== this.generation) return 'reset'
    if (now >= entry.expiresAt) return 'lifetime'
    return this.size > this.effectiveMaxSize ? 'resize' : undefined
  }

  /** Begins a lease on an entry that is in `inUse`. */
  lease(entry: PoolEntry<T>, now: number, waitedMs: number, owner: string | undefined, trace: Trace | undefined): void {
    entry.acquiredAt = now
    entry.owner = owner
    entry.trace = trace
    entry.leakReported = false
    this.counters.acquired += 1
    if (this.emitter.listeners.acquired !== undefined) {
      this.emitter.emit('acquired', { resource: entry.resource, waitedMs, owner })
    }
  }

  /** Hands an entry that is in `inUse` to the oldest waiter; false when nobody waits. */
  handOver(entry: PoolEntry<T>, now: number): boolean {
    const waiter = this.waiters.takeFirst()
    if (waiter === undefined) return false
    waiter.resolve(waiter.wrap(entry))
    this.lease(entry, now, now - waiter.since, waiter.owner, waiter.trace)
    return true
  }

  putIdle(entry: PoolEntry<T>, now: number): void {
    entry.idleSince = now
    this.inUse.remove(entry)
    this.idle.addFirst(entry)
  }

  /** Behind those that were used since: it was not. */
  putBack(entry: PoolEntry<T>): void {
    this.inUse.remove(entry)
    this.idle.addLast(entry)
  }

  /** Takes an entry out of the pool for good; does nothing when it is out. */
  retire(entry: PoolEntry<T>, reason: DestroyReason, error?: unknown): void {
    if (entry.list?.remove(entry)) this.bury(entry.resource, reason, error)
  }

  bury(resource: T, reason: DestroyReason, error?: unknown): void {
    this.counters.destroyed += 1
    this.destructions.destroy(resource, reason)
    if (this.emitter.listeners.destroyed !== undefined) {
      this.emitter.emit('destroyed', error === undefined ? { resource, reason } : { resource, reason, error })
    }
  }

  /** The one place that decides; every event calls it. What it calls may call it again: that is one more round, not a recursion. */
  schedule(): void {
    this.scheduleAgain = true
    if (this.scheduling) return
    this.scheduling = true
    try {
      while (this.scheduleAgain) {
        this.scheduleAgain = false
        this.round()
      }
    } finally {
      this.scheduling = false
    }
  }

  round(): void {
    if (this.state !== 'open') {
      if (this.outstanding === 0) this.finishClose?.()
      return
    }
    // The usual case under contention, seen at once: nothing is idle and no place is free.
    if (this.idle.length > 0 || this.hasRoom) {
      this.shrink()
      this.serve()
      if (this.options.idleTimeoutMs === 0) trimIdle(this, this.now(), Number.NEGATIVE_INFINITY)
      this.create()
    }
    this.waiters.dismissImpatient(this.validations.pending)
  }

  /** Idle entries beyond the maximum go, those unused longest first. */
  shrink(): void {
    while (this.size > this.effectiveMaxSize && this.idle.last !== undefined) this.retire(this.idle.last, 'resize')
  }

  /** Idle entries serve the oldest waiters: at once where they are fresh, else after their validation, one for each waiter. */
  serve(): void {
    while (this.idle.first !== undefined && this.waiters.length > 0) {
      const entry = this.idle.first
      const now = this.now()
      const fresh = this.isFresh(entry, now)
      if (now >= entry.expiresAt) {
        this.retire(entry, 'lifetime')
      } else if (fresh || this.waiters.length > this.validations.pending) {
        this.idle.remove(entry)
        this.inUse.addLast(entry)
        if (fresh) this.handOver(entry, now)
        else this.validations.start(entry)
      } else {
        return
      }
    }
  }

  /** A creation for each waiter that nothing under way will serve, as far as that pays; then what is missing to `minSize`. */
  create(): void {
    while (this.unserved > 0 && this.hasRoom && this.growthPays()) this.creations.start()
    while (this.size + this.creations.running < this.minSize && !this.backoff.held && this.hasRoom) {
      this.creations.start()
    }
  }

  growthPays(): boolean {
    if (this.growth.expected(this.unserved, this.inUse.length)) return true
    const next = this.waiters.at(this.validations.pending + this.creations.running)
    return next !== undefined && this.growth.cameToPass(next.since, this.now())
  }

  delivered(resource: T, tookMs: number, unwanted: DestroyReason | undefined): void {
    const reason = unwanted ?? (this.size < this.effectiveMaxSize ? undefined : 'resize')
    if (reason === undefined) {
      this.backoff.clear()
      this.growth.created(tookMs)
      this.settle(resource, tookMs)
    } else {
      this.announce(resource, tookMs)
      this.counters.created += 1
      this.bury(resource, reason)
    }
    this.schedule()
  }

  /** A new entry goes to the oldest waiter as it is: it needs no validation, and serves once however short its lifetime. */
  settle(resource: T, tookMs: number): void {
    const now = this.now()
    const entry = new PoolEntry(resource, this.generation, now, this.lifetime())
    this.idle.addFirst(entry)
    this.counters.created += 1
    this.announce(resource, tookMs)
    // A listener may have taken or ended it.
    if (entry.list !== this.idle || this.waiters.length === 0) return
    this.idle.remove(entry)
    this.inUse.addLast(entry)
    this.handOver(entry, now)
  }

  announce(resource: T, tookMs: number): void {
    if (this.emitter.listeners.created !== undefined) this.emitter.emit('created', { resource, tookMs })
  }

  lifetime(): number {
    return this.options.maxLifetimeMs * (1 - (0.025 + 0.075 * this.random()))
  }

  createFailed(cause: unknown): void {
    const error = createFailure(cause)
    const hopeless = error.category === 'credentials'
    this.counters.createFailures += 1
    this.backoff.fail(!hopeless)
    // By one for each refusal: of those made beside it, some may be there in a moment.
    if (this.factory.exhausted?.(cause) === true) this.lowerLimit(this.size + this.creations.running)
    if (hopeless) {
      // Whatever is tried for them fails alike, and trying could lock the account.
      for (const waiter of this.waiters.takeAll()) waiter.reject(createFailure(cause))
    } else if (this.unserved > 0 && this.size + this.creations.running < this.effectiveMaxSize) {
      // Otherwise the limit was lowered to what there is or comes: they wait for a release now, not for a creation.
      this.waiters.takeFirst()?.reject(error)
    }
    if (this.emitter.listeners.createFailed !== undefined) {
      this.emitter.emit('createFailed', { error, attempt: this.backoff.failures })
    }
    this.schedule()
  }

  destroyFailed(error: unknown, reason: DestroyReason): void {
    this.counters.destroyFailures += 1
    if (this.emitter.listeners.destroyFailed !== undefined) this.emitter.emit('destroyFailed', { error, reason })
  }

  /** A validated entry is handed over as it is: with `validateIfIdleMs` 0 it would never look fresh. */
  validated(entry: PoolEntry<T>, valid: boolean, error: unknown): void {
    const now = this.now()
    if (valid) {
      entry.goodAt = now
      const unfit = this.unfit(entry, now)
      if (unfit !== undefined) this.retire(entry, unfit)
      else if (!this.handOver(entry, now)) {
        if (entry.probed) this.putBack(entry)
        else this.putIdle(entry, now)
      }
      entry.probed = false
    } else {
      this.counters.validateFailures += 1
      this.retire(entry, 'invalid', error)
    }
    this.schedule()
  }

  /** Takes a waiter out that was not served. One more would have been of use, if only to whoever comes next. */
  leave(waiter: Waiter<T>): boolean {
    if (waiter.list === undefined) return false
    if (this.unserved > 0 && this.hasRoom) this.creations.start()
    return this.waiters.remove(waiter)
  }

  aborted(waiter: Waiter<T>): void {
    if (!this.leave(waiter)) return
    waiter.reject(waiter.signal?.reason)
    this.schedule()
  }

  expired(waiter: Waiter<T>): void {
    // Made first: among those who wait the message counts the one it is for.
    const error = acquireTimeout(waiter.timeoutMs, this.stats())
    if (!this.leave(waiter)) return
    waiter.reject(error)
    this.counters.acquireTimeouts += 1
    if (this.emitter.listeners.timeout !== undefined) {
      this.emitter.emit('timeout', { waitedMs: this.now() - waiter.since, owner: waiter.owner })
    }
    this.schedule()
  }

  rejectWaiting(error: () => unknown): void {
    for (const waiter of this.waiters.takeAll()) waiter.reject(error())
    this.schedule()
  }

  reset(): void {
    this.generation += 1
    this.creations.orphanAll()
    this.backoff.clear()
    this.retireIdle('reset')
    this.schedule()
  }

  resize(minSize: number, maxSize: number): void {
    this.minSize = minSize
    this.maxSize = maxSize
    this.effectiveMaxSize = maxSize
    this.schedule()
  }

  limitTo(count: number): void {
    this.effectiveMaxSize = this.maxSize
    this.lowerLimit(count)
    this.schedule()
  }

  lowerLimit(count: number): void {
    this.effectiveMaxSize = Math.min(this.effectiveMaxSize, Math.max(1, count))
  }

  /** A listener or the factory may acquire meanwhile, but only what is left, and only while the pool is open. */
  retireIdle(reason: DestroyReason): void {
    for (const entry of this.idle.toArray()) if (entry.list === this.idle) this.retire(entry, reason)
  }

  stats(): PoolStats {
    return {
      state: this.state,
      maxSize: this.maxSize,
      minSize: this.minSize,
      effectiveMaxSize: this.effectiveMaxSize,
      currentSize: this.size,
      available: this.idle.length,
      inUse: this.inUse.length,
      validating: this.validations.pending,
      waiting: this.waiters.length,
      creating: this.creations.running,
      orphaned: this.creations.orphaned,
      destroying: this.destructions.pending,
      stalled: this.creations.stalled + this.destructions.stalled,
      ...this.counters,
    }
  }
}

/** A function of any shape: only its frames matter. */
export type Below = (...args: never[]) => unknown

function traceBelow(below: Below): Trace {
  const trace: Trace = { stack: '' }
  Error.captureStackTrace(trace, below)
  return trace
}
