import type { Pkcs11PoolError } from '../errors.js'
import { addAbortListener, removeAbortListener } from '../internal/abort-listeners.js'
import { type Clock, systemClock, type Timer } from '../internal/clock.js'
import { checkOptions, type OperationOptions } from '../session/call-context.js'
import { Deadline } from '../session/deadline.js'
import { type Candidate, Selection } from './selection.js'
import { verdictOf } from './verdict.js'

/** What failover asks of, and tells, its group. */
export interface FailoverHooks<M> {
  /** Why no member can be asked. */
  refusal(): Pkcs11PoolError
  /** `next` is asked after, or with no error beside, `member`. */
  failover(member: M, error: Pkcs11PoolError | undefined, next: M): void
}

/** What came of a use: who answered, and who said before that it has no such key. */
export interface Answer<M, R> {
  readonly value: R
  readonly member: M
  readonly without: readonly M[]
}

/** One use on one member. `hasNext` tells whether there is another to make it if it fails. */
export type Attempt<M, R> = (member: M, options: OperationOptions, hasNext: () => boolean) => Promise<R>

/** How one use is run. */
export interface UseOptions<M, R> {
  /** Those not to ask; those that were asked are added. */
  tried?: Set<M>
  /** Told of what a member answers after another one has. */
  late?: (value: R) => void
}

/**
 * Uses of keys, each on the least loaded member. One that fails on the token's side is made on the next member, within the caller's
 * time; one that is not answered for a while is made on the next one beside it, and the first answer counts. That is safe because uses
 * change nothing, and bounded because each member is asked once, and beside another only one that has room.
 */
export class Failover<M extends Candidate> {
  readonly #selection: Selection<M>
  readonly #nextAfterMs: number
  readonly #hooks: FailoverHooks<M>
  readonly #clock: Clock

  constructor(members: readonly M[], nextAfterMs: number, hooks: FailoverHooks<M>, clock: Clock = systemClock) {
    this.#selection = new Selection(members)
    this.#nextAfterMs = nextAfterMs
    this.#hooks = hooks
    this.#clock = clock
  }

  /** @throws what a member did that is final, or the last one; BREAKER_OPEN and its kin where none can be asked */
  async run<R>(
    options: OperationOptions,
    call: Attempt<M, R>,
    { tried = new Set(), late }: UseOptions<M, R> = {},
  ): Promise<Answer<M, R>> {
    checkOptions(options)
    options.signal?.throwIfAborted()
    const first = this.#selection.next(tried)
    if (first === undefined) throw this.#hooks.refusal()
    const deadline = Deadline.of(options.timeoutMs)
    const share = deadline === undefined ? this.#nextAfterMs : deadline.timeoutMs / this.#selection.usable
    const patienceMs = Math.min(this.#nextAfterMs, share)
    const context = { selection: this.#selection, hooks: this.#hooks, clock: this.#clock, patienceMs }
    return new Promise((resolve, reject) => {
      new Use(context, options.signal, deadline, call, tried, late, { resolve, reject }).ask(first)
    })
  }
}

interface UseContext<M extends Candidate> {
  readonly selection: Selection<M>
  readonly hooks: FailoverHooks<M>
  readonly clock: Clock
  readonly patienceMs: number
}

/** One use, on one member after the other until it is settled. */
class Use<M extends Candidate, R> {
  readonly #running = new Map<M, AbortController>()
  readonly #without: M[] = []
  /** why it failed on the last member that could not say whether there is such a key, else on the last */
  #failure: unknown
  #inconclusive = false
  #settled = false
  #timer: Timer | undefined

  constructor(
    readonly context: UseContext<M>,
    readonly signal: AbortSignal | undefined,
    readonly deadline: Deadline | undefined,
    readonly call: Attempt<M, R>,
    readonly tried: Set<M>,
    readonly late: ((value: R) => void) | undefined,
    readonly settle: { resolve: (answer: Answer<M, R>) => void; reject: (reason: unknown) => void },
  ) {
    if (signal !== undefined) addAbortListener(signal, this)
  }

  ask(member: M): void {
    this.tried.add(member)
    const gone = new AbortController()
    this.#running.set(member, gone)
    const timeoutMs = this.deadline?.within(this.deadline.timeoutMs)
    const hasNext = (): boolean => this.context.selection.next(this.tried) !== undefined
    this.call(member, { signal: gone.signal, timeoutMs }, hasNext).then(
      (value) => this.#answered(member, value),
      (error: unknown) => this.#failed(member, error),
    )
    this.#wait(member)
  }

  /** The caller's signal aborted. */
  handleEvent(): void {
    this.#end(() => this.settle.reject(this.signal?.reason))
  }

  /** For an answer of the member that was asked last. */
  #wait(member: M): void {
    this.#timer?.cancel()
    if (!this.context.selection.isLeft(this.tried)) return
    this.#timer = this.context.clock.setTimeout(() => {
      const next = this.context.selection.next(this.tried, 1)
      if (next === undefined) {
        this.#wait(member)
        return
      }
      this.context.hooks.failover(member, undefined, next)
      this.ask(next)
    }, this.context.patienceMs)
  }

  #answered(member: M, value: R): void {
    this.#running.delete(member)
    if (this.#settled) {
      this.late?.(value)
      return
    }
    this.#end(() => this.settle.resolve({ value, member, without: this.#without }))
  }

  #failed(member: M, error: unknown): void {
    this.#running.delete(member)
    if (this.#settled) return
    const verdict = verdictOf(error)
    if (verdict === 'final') {
      this.#end(() => this.settle.reject(error))
      return
    }
    if (verdict === 'not found') this.#without.push(member)
    // That one has no such key says nothing of one that could not be heard.
    if (verdict === 'elsewhere' || !this.#inconclusive) this.#failure = error
    if (verdict === 'elsewhere') this.#inconclusive = true
    const next = this.#timeLeft() ? this.context.selection.next(this.tried) : undefined
    if (next !== undefined) {
      this.context.hooks.failover(member, error as Pkcs11PoolError, next)
      this.ask(next)
    } else if (this.#running.size === 0) {
      this.#end(() => this.settle.reject(this.#failure))
    }
  }

  #timeLeft(): boolean {
    return this.deadline === undefined || this.deadline.within(Number.POSITIVE_INFINITY) > 0
  }

  #end(settle: () => void): void {
    this.#settled = true
    this.#timer?.cancel()
    if (this.signal !== undefined) removeAbortListener(this.signal, this)
    settle()
    for (const gone of this.#running.values()) gone.abort()
  }
}
