import type { Clock, Timer } from '../internal/clock.js'

const FIRST_MS = 100
const LONGEST_MS = 30_000

/**
 * When the pool may try again to fill itself to `minSize` after a failure: after 100 ms, doubled each time up to 30 s, of which up
 * to half is taken off by chance so that many pools do not knock at a recovering server together. What somebody waits for is not
 * held back by it.
 */
export class FillBackoff {
  readonly #clock: Clock
  readonly #random: () => number
  readonly #retry: () => void
  #failures = 0
  #timer: Timer | undefined
  #held = false

  constructor(clock: Clock, random: () => number, retry: () => void) {
    this.#clock = clock
    this.#random = random
    this.#retry = retry
  }

  /** Creations that failed in a row. */
  get failures(): number {
    return this.#failures
  }

  /** Whether to wait before filling. */
  get held(): boolean {
    return this.#held
  }

  /** Counts a failure. `retry: false` holds until the next success or `clear`: trying by ourselves could do harm. */
  fail(retry: boolean): void {
    this.#failures += 1
    this.#timer?.cancel()
    this.#held = true
    if (!retry) return
    const delayMs = Math.min(LONGEST_MS, FIRST_MS * 2 ** (this.#failures - 1)) * (1 - this.#random() / 2)
    this.#timer = this.#clock.setTimeout(() => {
      this.#held = false
      this.#retry()
    }, delayMs)
  }

  /** A success, or a new beginning. */
  clear(): void {
    this.#failures = 0
    this.#held = false
    this.#timer?.cancel()
  }
}
