import { ConsecutiveBreaker, ExponentialBackoff, halfJitterGenerator, type IBackoffFactory } from 'cockatiel'
import { BreakerOpenError, type Pkcs11PoolError } from '../errors.js'
import type { Clock, Timer } from '../internal/clock.js'

/** When the breaker opens, and how long it stays open. */
export interface BreakerOptions {
  /** How many failures on the token's side in a row open it; a success in between starts the count anew. @defaultValue 5 */
  failureThreshold?: number | undefined
  /** Milliseconds until the first try after it has opened, of which up to half is taken off by chance. @defaultValue 500 */
  initialBackoffMs?: number | undefined
  /** The most that these milliseconds, doubled after each try that fails, come to: so long after the token has come back, it is used again. @defaultValue 10_000 */
  maxBackoffMs?: number | undefined
}

/** {@link BreakerOptions} with every default filled in. */
export type ResolvedBreakerOptions = Readonly<{ [K in keyof BreakerOptions]-?: number }>

/** `closed`: calls are sent; `open`: none is, until `retryAt`; `half-open`: a probe is under way, and no call is sent. */
export type BreakerState = 'closed' | 'open' | 'half-open'

/** The breaker at one moment. */
export interface BreakerReport {
  state: BreakerState
  /** failures on the token's side since the last success, while it is closed */
  failures: number
  /** how often it opened, ever; tries that failed are not counted */
  opened: number
  /** since when no call is sent; undefined while it is closed */
  openedAt: Date | undefined
  /** when the token is tried next; undefined unless it is open */
  retryAt: Date | undefined
  /** what opened it, or what the last try failed with; undefined while it is closed */
  cause: Pkcs11PoolError | undefined
}

/** What the breaker asks of, and tells, its surroundings. */
export interface BreakerHooks {
  /** Tries the token, cheaply: resolves when it may be used again, rejects with a Pkcs11PoolError. */
  probe(): Promise<void>
  /** The state changed, or the next try was set. */
  changed(report: BreakerReport): void
}

/**
 * The circuit breaker of one token: after failures in a row nothing is sent any more, and one probe after the other, further and further
 * apart, finds out when it is back. Calls never probe: they are refused until a probe has succeeded.
 *
 * A probe is cheaper than a call, and may succeed where calls do not. So the breaker is on probation after it: the next failure opens it
 * again at once, and the waiting goes on where it was, until a call has succeeded.
 */
export class Breaker {
  /** Whether calls are refused: all that a call looks at. */
  blocked = false
  readonly #options: ResolvedBreakerOptions
  readonly #clock: Clock
  readonly #hooks: BreakerHooks
  readonly #count: ConsecutiveBreaker
  #state: BreakerState = 'closed'
  #proven = true
  #clean = true
  #doubts = 0
  #stopped = false
  #opened = 0
  #openedAt = 0
  #retryAt = 0
  #cause: Pkcs11PoolError | undefined
  #waits: IBackoffFactory<unknown>
  #timer: Timer | undefined

  constructor(options: ResolvedBreakerOptions, clock: Clock, hooks: BreakerHooks) {
    this.#options = options
    this.#clock = clock
    this.#hooks = hooks
    this.#count = new ConsecutiveBreaker(options.failureThreshold)
    this.#waits = this.#firstWait()
  }

  /** A call to the token was answered as it should be. */
  succeeded(): void {
    if (!this.#clean && this.#state === 'closed') this.#clear()
  }

  /** A call failed on the token's side. */
  failed(error: Pkcs11PoolError): void {
    if (this.#state !== 'closed') return
    this.#clean = false
    if (this.#count.failure() || !this.#proven) this.trip(error)
  }

  /** A call failed, perhaps on the token's side. @returns whether so many did in a row that the token has to be looked at */
  doubted(): boolean {
    if (this.#state !== 'closed') return false
    this.#clean = false
    this.#doubts += 1
    if (this.#proven && this.#doubts < this.#options.failureThreshold) return false
    this.#doubts = 0
    return true
  }

  /** Opens at once: there is no doubt that the token cannot be used. */
  trip(error: Pkcs11PoolError): void {
    if (this.#state !== 'closed' || this.#stopped) return
    this.#opened += 1
    this.#openedAt = Date.now()
    this.blocked = true
    this.#open(error)
  }

  /** Why a call is refused now. */
  refusal(): BreakerOpenError {
    const cause = this.#cause
    const why = cause === undefined ? '' : `: ${cause.message}`
    const retryAt = new Date(this.#state === 'open' ? this.#retryAt : Date.now())
    const next =
      this.#state === 'open'
        ? `the token is tried next at ${retryAt.toISOString()}, in ${Math.max(0, this.#retryAt - Date.now())} ms`
        : 'the token is being tried now'
    return new BreakerOpenError(`nothing was sent, because the token has failed before; ${next}${why}`, {
      cause,
      retryAt,
    })
  }

  report(): BreakerReport {
    const closed = this.#state === 'closed'
    return {
      state: this.#state,
      failures: this.#count.state,
      opened: this.#opened,
      openedAt: closed ? undefined : new Date(this.#openedAt),
      retryAt: this.#state === 'open' ? new Date(this.#retryAt) : undefined,
      cause: this.#cause,
    }
  }

  /** No try is made any more. */
  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  #open(cause: Pkcs11PoolError): void {
    this.#cause = cause
    const wait = this.#waits.next(undefined)
    this.#waits = wait
    this.#state = 'open'
    this.#retryAt = Date.now() + wait.duration
    if (!this.#stopped) this.#timer = this.#clock.setTimeout(() => void this.#try(), wait.duration)
    this.#hooks.changed(this.report())
  }

  async #try(): Promise<void> {
    this.#state = 'half-open'
    this.#hooks.changed(this.report())
    try {
      await this.#hooks.probe()
    } catch (error) {
      if (!this.#stopped) this.#open(error as Pkcs11PoolError)
      return
    }
    if (!this.#stopped) this.#close()
  }

  #close(): void {
    this.#state = 'closed'
    this.#cause = undefined
    this.#count.success()
    this.#proven = false
    this.#clean = false
    this.blocked = false
    this.#hooks.changed(this.report())
  }

  #clear(): void {
    this.#count.success()
    this.#doubts = 0
    this.#proven = true
    this.#clean = true
    this.#waits = this.#firstWait()
  }

  #firstWait(): IBackoffFactory<unknown> {
    const { initialBackoffMs, maxBackoffMs } = this.#options
    return new ExponentialBackoff({
      generator: halfJitterGenerator,
      initialDelay: initialBackoffMs,
      maxDelay: maxBackoffMs,
    })
  }
}
