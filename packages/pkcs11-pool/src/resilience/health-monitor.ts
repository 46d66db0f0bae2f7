import type { Clock, Timer } from '../internal/clock.js'
import type { ResolvedHealthOptions } from './options.js'

/** What the monitor asks of its surroundings. */
export interface MonitorHooks {
  /** Whether a call has succeeded within so many milliseconds. */
  heardWithin(ms: number): boolean
  /** Looks at the token, and when it answers at the sessions that nobody has used for so many milliseconds. */
  look(unusedForMs: number): void
}

/**
 * Looks at a token that no call has shown to be well for an interval, so that what is wrong is known before somebody needs it. With
 * `keepAlive` also at one that is in use: for the sessions that are not.
 */
export class HealthMonitor {
  readonly #options: ResolvedHealthOptions
  readonly #clock: Clock
  readonly #hooks: MonitorHooks
  #timer: Timer | undefined

  constructor(options: ResolvedHealthOptions, clock: Clock, hooks: MonitorHooks) {
    this.#options = options
    this.#clock = clock
    this.#hooks = hooks
    this.#wait()
  }

  stop(): void {
    this.#timer?.cancel()
  }

  #wait(): void {
    const { probeIntervalMs } = this.#options
    if (probeIntervalMs === Number.POSITIVE_INFINITY) return
    this.#timer = this.#clock.setTimeout(() => this.#tick(), probeIntervalMs)
  }

  #tick(): void {
    const { probeIntervalMs, keepAlive } = this.#options
    this.#wait()
    if (keepAlive || !this.#hooks.heardWithin(probeIntervalMs)) this.#hooks.look(probeIntervalMs)
  }
}
