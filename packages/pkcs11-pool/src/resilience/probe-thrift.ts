import type { Pkcs11PoolError } from '../errors.js'
import type { Clock } from '../internal/clock.js'

/**
 * Keeps probes from using up the engine's threads: each that hangs costs one until its call returns. While as many calls hang as may run at
 * once, and as after the last such probe, the next one is sent only after a longer while; as soon as one returns, at the usual time.
 */
export class ProbeThrift {
  readonly #clock: Clock
  readonly #longerMs: number
  #hung = 0
  #until = Number.NEGATIVE_INFINITY
  #error: Pkcs11PoolError | undefined

  constructor(clock: Clock, longerMs: number) {
    this.#clock = clock
    this.#longerMs = longerMs
  }

  /** `threads`: how many calls may run at once. @throws what the last probe failed with, while the next one is not to be sent */
  check(hung: number, threads: number): void {
    if (this.#error === undefined || hung < threads || hung < this.#hung) return
    if (this.#clock.now() < this.#until) throw this.#error
  }

  /** A probe has failed; `hung` calls hang now, its own included where it does. */
  failed(error: Pkcs11PoolError, hung: number): void {
    this.#error = error.code === 'OPERATION_TIMEOUT' && hung > 0 ? error : undefined
    this.#hung = hung
    this.#until = this.#clock.now() + this.#longerMs
  }

  succeeded(): void {
    this.#error = undefined
  }
}
