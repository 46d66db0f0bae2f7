import { performance } from 'node:perf_hooks'

/** A timer that can be taken back. */
export interface Timer {
  /** Keeps the callback from running; does nothing when it has run. */
  cancel(): void
}

/** Where time comes from. Everything that waits or measures takes one, so that tests can move time themselves. */
export interface Clock {
  /** Milliseconds on a clock that never goes back; only differences mean something. */
  now(): number
  /** Calls back once, not before `delayMs` (at most {@link MAX_DELAY_MS}) have passed and never before it has returned. */
  setTimeout(callback: () => void, delayMs: number): Timer
}

/** The longest delay a timer of Node takes: 2^31 - 1 ms, nearly 25 days. A longer one would fire at once. */
export const MAX_DELAY_MS = 2_147_483_647

class SystemTimer implements Timer {
  readonly #timeout: NodeJS.Timeout

  constructor(callback: () => void, delayMs: number) {
    this.#timeout = setTimeout(callback, delayMs)
    this.#timeout.unref()
  }

  cancel(): void {
    clearTimeout(this.#timeout)
  }
}

/** The process's monotonic clock. Its timers are unref'd: none of them keeps a process alive by itself. */
export const systemClock: Clock = {
  now: () => performance.now(),
  setTimeout: (callback, delayMs) => new SystemTimer(callback, delayMs),
}
