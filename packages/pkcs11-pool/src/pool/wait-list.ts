import { addAbortListener, removeAbortListener } from '../internal/abort-listeners.js'
import type { Clock, Timer } from '../internal/clock.js'
import { LinkedList, ListNode } from '../internal/linked-list.js'
import type { PoolEntry, Trace } from './entry.js'

/** One `acquire` that could not be served at once. */
export class Waiter<T> extends ListNode<Waiter<T>> {
  readonly since: number
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
  readonly owner: string | undefined
  readonly trace: Trace | undefined
  /** makes of the entry what the promise resolves to */
  readonly wrap: (entry: PoolEntry<T>) => unknown
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
  onAbort: ((waiter: Waiter<T>) => void) | undefined = undefined

  constructor(
    since: number,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    owner: string | undefined,
    trace: Trace | undefined,
    wrap: (entry: PoolEntry<T>) => unknown,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    super()
    this.since = since
    this.timeoutMs = timeoutMs
    this.signal = signal
    this.owner = owner
    this.trace = trace
    this.wrap = wrap
    this.resolve = resolve
    this.reject = reject
  }

  /** Waits for no release and no creation, only for the validation of what is idle now: `timeoutMs` is 0. */
  get impatient(): boolean {
    return this.timeoutMs === 0
  }

  get deadline(): number {
    return this.timeoutMs === 0 ? Number.POSITIVE_INFINITY : this.since + this.timeoutMs
  }

  /** The waiter is the signal's listener itself, which saves a closure. */
  handleEvent(): void {
    this.onAbort?.(this)
  }
}

/** What the pool is told: the waiter is still in the list then. */
export interface WaitHooks<T> {
  expired(waiter: Waiter<T>): void
  aborted(waiter: Waiter<T>): void
}

/**
 * Those who wait, oldest first.
 *
 * Hand-over against abort and deadline: whoever takes a waiter out of the list, by `takeFirst` or `remove`, settles its promise in
 * the same turn, and both take it out before anything else; so exactly one of them wins, and the loser finds it gone. A signal that
 * aborts after the hand-over has no effect: the lease is its caller's, to use or to release.
 *
 * One timer serves all: it is set for the earliest deadline seen, and left alone when that waiter is served. When it fires, the
 * list is walked once and the timer set for the earliest deadline left. In a busy pool that is one timer in `acquireTimeoutMs`
 * rather than one an acquire.
 */
export class WaitList<T> {
  readonly #list = new LinkedList<Waiter<T>>()
  readonly #clock: Clock
  readonly #hooks: WaitHooks<T>
  #impatient = 0
  #timer: Timer | undefined
  #timerAt = Number.POSITIVE_INFINITY

  constructor(clock: Clock, hooks: WaitHooks<T>) {
    this.#clock = clock
    this.#hooks = hooks
  }

  get length(): number {
    return this.#list.length
  }

  add(waiter: Waiter<T>): void {
    this.#list.addLast(waiter)
    if (waiter.impatient) this.#impatient += 1
    if (waiter.signal !== undefined) {
      waiter.onAbort = this.#hooks.aborted
      addAbortListener(waiter.signal, waiter)
    }
    if (waiter.deadline < this.#timerAt) this.#setTimer(waiter.deadline, waiter.since)
  }

  takeFirst(): Waiter<T> | undefined {
    const waiter = this.#list.first
    if (waiter !== undefined) this.remove(waiter)
    return waiter
  }

  /** The waiter at a place, 0 being that of the oldest. */
  at(place: number): Waiter<T> | undefined {
    let waiter = this.#list.first
    for (let left = place; left > 0 && waiter !== undefined; left -= 1) waiter = waiter.next
    return waiter
  }

  /** Takes a waiter out; false when it was out already. */
  remove(waiter: Waiter<T>): boolean {
    if (!this.#list.remove(waiter)) return false
    if (waiter.impatient) this.#impatient -= 1
    if (waiter.signal !== undefined) removeAbortListener(waiter.signal, waiter)
    return true
  }

  /** Takes all out. */
  takeAll(): Waiter<T>[] {
    const waiters = this.#list.toArray()
    for (const waiter of waiters) this.remove(waiter)
    return waiters
  }

  /** Ends the waiting of the impatient, those at the first `spared` places excepted. */
  dismissImpatient(spared: number): void {
    if (this.#impatient === 0) return
    for (const waiter of this.#list.toArray().slice(spared)) {
      if (waiter.impatient && waiter.list !== undefined) this.#hooks.expired(waiter)
    }
  }

  stopTimer(): void {
    this.#timer?.cancel()
    this.#timerAt = Number.POSITIVE_INFINITY
  }

  #setTimer(at: number, now: number): void {
    this.#timer?.cancel()
    this.#timerAt = at
    this.#timer = this.#clock.setTimeout(() => this.#ring(), Math.max(0, Math.ceil(at - now)))
  }

  #ring(): void {
    this.#timerAt = Number.POSITIVE_INFINITY
    const now = this.#clock.now()
    const due: Waiter<T>[] = []
    let earliest = Number.POSITIVE_INFINITY
    for (let waiter = this.#list.first; waiter !== undefined; waiter = waiter.next) {
      if (waiter.deadline <= now) due.push(waiter)
      else if (waiter.deadline < earliest) earliest = waiter.deadline
    }
    if (earliest !== Number.POSITIVE_INFINITY) this.#setTimer(earliest, now)
    for (const waiter of due) if (waiter.list !== undefined) this.#hooks.expired(waiter)
  }
}
