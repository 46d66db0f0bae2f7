import { Pkcs11PoolError } from '../errors.js'

/** How the token is, as far as calls and probes have shown. */
export interface HealthReport {
  /**
   * `ok`; `degraded`: it answers, but calls hang or it gives fewer sessions than asked for; `down`: the last call, or probe,
   * failed on the token's side, or the breaker is open; `locked`: the PIN was rejected, and nothing is sent any more until an operator acts.
   */
  state: 'ok' | 'degraded' | 'down' | 'locked'
  /** when the state began: for `degraded` and `locked`, when they were first seen */
  since: Date
  lastSuccess: Date | undefined
  lastFailure: { at: Date; code: string; message: string } | undefined
}

/** Keeps what calls and probes tell about the token. */
export class HealthRecord {
  #lastSuccess: number | undefined
  #lastCall: number | undefined
  #lastFailure: { at: number; error: Pkcs11PoolError } | undefined
  #failing = false
  /** when calls began to fail, or to succeed again */
  #turnedAt = Date.now()
  #state: HealthReport['state'] = 'ok'
  #since = this.#turnedAt

  /** A call succeeded. */
  succeeded(): void {
    const now = Date.now()
    this.#lastSuccess = now
    this.#lastCall = now
    if (this.#failing) this.#turn(false, now)
  }

  /** A probe was answered. */
  answered(): void {
    this.#lastSuccess = Date.now()
    if (this.#failing) this.#turn(false, this.#lastSuccess)
  }

  /** Whether a call has succeeded within so many milliseconds. */
  heardWithin(ms: number): boolean {
    if (this.#lastCall === undefined) return false
    const ageMs = Date.now() - this.#lastCall
    // The machine's clock may have been set back since.
    return ageMs >= 0 && ageMs < ms
  }

  failed(error: unknown): void {
    if (!(error instanceof Pkcs11PoolError) || !isTheTokens(error)) return
    const now = Date.now()
    this.#lastFailure = { at: now, error }
    if (!this.#failing) this.#turn(true, now)
  }

  /** `impaired`: what the pool and the engine see beside single calls. */
  report(locked: boolean, impaired: boolean): HealthReport {
    const state = locked ? 'locked' : this.#failing ? 'down' : impaired ? 'degraded' : 'ok'
    if (state !== this.#state) {
      const turned = state === 'down' || this.#state === 'down'
      this.#since = turned && state !== 'locked' ? this.#turnedAt : Date.now()
      this.#state = state
    } else if (state === 'down' || state === 'ok') {
      // It may have been something else in between, and nobody asked.
      this.#since = Math.max(this.#since, this.#turnedAt)
    }
    const failure = this.#lastFailure
    return {
      state,
      since: new Date(this.#since),
      lastSuccess: this.#lastSuccess === undefined ? undefined : new Date(this.#lastSuccess),
      lastFailure: failure && { at: new Date(failure.at), code: failure.error.code, message: failure.error.message },
    }
  }

  #turn(failing: boolean, at: number): void {
    this.#failing = failing
    this.#turnedAt = at
  }
}

/** Refused before anything was sent. */
const NOT_SENT: ReadonlySet<string> = new Set(['QUEUE_FULL', 'BREAKER_OPEN', 'SESSION_LOST'])

/** Whether a failure says something about the token: a caller's mistake or short patience does not, nor does a pool that is too small. */
function isTheTokens(error: Pkcs11PoolError): boolean {
  const { code, category, cause } = error
  // Opening a session, which nothing but the token can keep from ending.
  if (code === 'CREATE_TIMEOUT') return true
  if (code === 'CREATE_FAILED' && cause instanceof Pkcs11PoolError) return isTheTokens(cause)
  if (category === 'caller' || category === 'pool' || NOT_SENT.has(code)) return false
  // Given up before anything of it reached the token.
  return !(code === 'OPERATION_TIMEOUT' && category === 'overload')
}
