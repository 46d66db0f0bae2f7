import type { Clock, Timer } from '../internal/clock.js'
import type { ResolvedPoolOptions } from './options.js'

/**
 * How often to look: twice in the shortest duration that is to be noticed, and often enough for what `maxLifetimeMs` is shortened
 * by at least (a fortieth) to cover the delay; within 100 ms and 30 s.
 */
export function housekeepingInterval(options: ResolvedPoolOptions): number {
  const { idleTimeoutMs, maxLifetimeMs, leakThresholdMs } = options
  const wanted = Math.min(idleTimeoutMs / 2, leakThresholdMs / 2, maxLifetimeMs / 40)
  return Math.min(30_000, Math.max(100, Math.floor(wanted)))
}

/**
 * Calls `tick(now, awakeSince)` at intervals. When far more time has passed than the interval, the process was stopped, its machine
 * asleep or its event loop blocked: nobody could use or release anything meanwhile. `awakeSince` is when that was last noticed;
 * idleness and possession are to be judged from then at the earliest.
 */
export class Housekeeper {
  readonly #clock: Clock
  readonly #intervalMs: number
  readonly #tick: (now: number, awakeSince: number) => void
  #lastAt: number
  #awakeSince = Number.NEGATIVE_INFINITY
  #timer: Timer

  constructor(clock: Clock, intervalMs: number, tick: (now: number, awakeSince: number) => void) {
    this.#clock = clock
    this.#intervalMs = intervalMs
    this.#tick = tick
    this.#lastAt = clock.now()
    this.#timer = this.#next()
  }

  stop(): void {
    this.#timer.cancel()
  }

  #next(): Timer {
    return this.#clock.setTimeout(() => this.#run(), this.#intervalMs)
  }

  #run(): void {
    const now = this.#clock.now()
    if (now - this.#lastAt > 2 * this.#intervalMs) this.#awakeSince = now
    this.#lastAt = now
    // Before the tick: what it calls may stop us.
    this.#timer = this.#next()
    this.#tick(now, this.#awakeSince)
  }
}
