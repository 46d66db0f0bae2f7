import { Pkcs11PoolError } from './errors.js'

/** How the token is, as far as calls to it have shown. */
export interface Health {
  /**
   * `ok`; `degraded`: it answers, but calls hang or it gives fewer sessions than asked for; `down`: the last call failed on the
   * token's side; `locked`: the PIN was rejected, and nothing is sent any more until an operator acts.
   */
  state: 'ok' | 'degraded' | 'down' | 'locked'
  /** when the state began */
  since: Date
  lastSuccess: Date | undefined
  lastFailure: { at: Date; code: string; message: string } | undefined
}

/** Keeps what real traffic tells about the token. A caller's mistakes say nothing about it. */
export class HealthRecord {
  #lastSuccess: number | undefined
  #lastFailure: { at: number; error: Pkcs11PoolError } | undefined
  #failing = false
  #state: Health['state'] = 'ok'
  #since = Date.now()

  succeeded(): void {
    this.#lastSuccess = Date.now()
    this.#failing = false
  }

  failed(error: unknown): void {
    if (!(error instanceof Pkcs11PoolError) || error.category === 'caller' || error.category === 'pool') return
    this.#lastFailure = { at: Date.now(), error }
    this.#failing = true
  }

  /** `impaired`: what the pool and the engine see beside single calls. */
  report(locked: boolean, impaired: boolean): Health {
    const state = locked ? 'locked' : this.#failing ? 'down' : impaired ? 'degraded' : 'ok'
    if (state !== this.#state) {
      this.#state = state
      this.#since = Date.now()
    }
    const failure = this.#lastFailure
    return {
      state,
      since: new Date(this.#since),
      lastSuccess: this.#lastSuccess === undefined ? undefined : new Date(this.#lastSuccess),
      lastFailure: failure && { at: new Date(failure.at), code: failure.error.code, message: failure.error.message },
    }
  }
}
