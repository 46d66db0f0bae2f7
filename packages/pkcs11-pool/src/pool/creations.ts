import { Pkcs11PoolError } from '../errors.js'
import type { Clock, Timer } from '../internal/clock.js'
import { LinkedList, ListNode } from '../internal/linked-list.js'
import type { DestroyReason, PoolFactory } from './factory.js'

/** What the pool is told. */
export interface CreationHooks<T> {
  /** The factory delivered; `unwanted` says why nobody is to have it, and it must be destroyed. */
  delivered(resource: T, tookMs: number, unwanted: DestroyReason | undefined): void
  /** A creation that somebody counted on failed: `cause` from the factory, or a `CREATE_TIMEOUT`. */
  failed(cause: unknown): void
  /** A creation that nobody counted on any more let go of its place. */
  freed(): void
}

class Attempt extends ListNode<Attempt> {
  readonly controller = new AbortController()
  readonly startedAt: number
  unwanted: DestroyReason | undefined = undefined
  timer: Timer | undefined = undefined

  constructor(startedAt: number) {
    super()
    this.startedAt = startedAt
  }
}

/**
 * The creations under way. Each holds a place under the pool's maximum from its start until it settles, because a creation that
 * was told to stop may still have opened something. One that ignores the abort is waited for during `createTimeoutMs` once more;
 * then its place is given up, as a factory that hangs must not stop the pool for ever. So only what a factory delivers more than
 * twice `createTimeoutMs` after it was asked can ever be one too many, and only until it is destroyed, which happens at once.
 */
export class Creations<T> {
  readonly #running = new LinkedList<Attempt>()
  readonly #orphaned = new LinkedList<Attempt>()
  #stalled = 0
  readonly #factory: PoolFactory<T>
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #hooks: CreationHooks<T>

  constructor(factory: PoolFactory<T>, clock: Clock, timeoutMs: number, hooks: CreationHooks<T>) {
    this.#factory = factory
    this.#clock = clock
    this.#timeoutMs = timeoutMs
    this.#hooks = hooks
  }

  get running(): number {
    return this.#running.length
  }

  get orphaned(): number {
    return this.#orphaned.length
  }

  get stalled(): number {
    return this.#stalled
  }

  start(): void {
    const attempt = new Attempt(this.#clock.now())
    this.#running.addLast(attempt)
    attempt.timer = this.#clock.setTimeout(() => this.#overdue(attempt), this.#timeoutMs)
    this.#call(attempt.controller.signal).then(
      (resource) => this.#delivered(attempt, resource),
      (cause) => this.#failed(attempt, cause),
    )
  }

  /** What is under way now belongs to a generation that ended: it serves nobody any more. */
  orphanAll(): void {
    for (const attempt of this.#running.toArray()) this.#orphan(attempt, 'reset')
  }

  /** Tells what is under way to stop, for good. */
  abortAll(reason: Pkcs11PoolError): void {
    for (const attempt of this.#running.toArray()) this.#orphan(attempt, 'closed')
    for (const attempt of this.#orphaned.toArray()) attempt.controller.abort(reason)
  }

  /** `async`, so that a factory that throws at once is one that rejects. */
  async #call(signal: AbortSignal): Promise<T> {
    return this.#factory.create(signal)
  }

  #orphan(attempt: Attempt, unwanted: DestroyReason): boolean {
    if (!this.#running.remove(attempt)) return false
    this.#orphaned.addLast(attempt)
    attempt.unwanted = unwanted
    return true
  }

  #overdue(attempt: Attempt): void {
    const countedOn = this.#orphan(attempt, 'late')
    attempt.timer = this.#clock.setTimeout(() => this.#giveUp(attempt), this.#timeoutMs)
    const error = new Pkcs11PoolError(
      'CREATE_TIMEOUT',
      `failed to create connection: it did not finish within createTimeoutMs ${this.#timeoutMs}; check what it connects to`,
    )
    attempt.controller.abort(error)
    if (countedOn) this.#hooks.failed(error)
  }

  #giveUp(attempt: Attempt): void {
    this.#orphaned.remove(attempt)
    this.#stalled += 1
    this.#hooks.freed()
  }

  #leave(attempt: Attempt): void {
    attempt.timer?.cancel()
    if (!this.#running.remove(attempt) && !this.#orphaned.remove(attempt)) this.#stalled -= 1
  }

  #delivered(attempt: Attempt, resource: T): void {
    this.#leave(attempt)
    this.#hooks.delivered(resource, this.#clock.now() - attempt.startedAt, attempt.unwanted)
  }

  #failed(attempt: Attempt, cause: unknown): void {
    this.#leave(attempt)
    if (attempt.unwanted === undefined) this.#hooks.failed(cause)
    else this.#hooks.freed()
  }
}
