import type { Clock, Timer } from '../../src/internal/clock.js'

interface Armed extends Timer {
  at: number
  order: number
  callback: () => void
}

/** Lets everything run that is ready to: all microtasks, and what they make ready. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Time that moves only when a test moves it. */
export class FakeClock implements Clock {
  #now = 1_000_000
  #order = 0
  readonly #armed = new Set<Armed>()

  now(): number {
    return this.#now
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    const timer: Armed = {
      at: this.#now + Math.max(0, delayMs),
      order: this.#order++,
      callback,
      cancel: () => this.#armed.delete(timer),
    }
    this.#armed.add(timer)
    return timer
  }

  /** Timers that are set. */
  get armed(): number {
    return this.#armed.size
  }

  /** Lets `ms` pass, each timer firing at its time, and what it caused settling before the next. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    await settled()
    for (let timer = this.#due(end); timer !== undefined; timer = this.#due(end)) {
      this.#now = Math.max(this.#now, timer.at)
      this.#fire(timer)
      await settled()
    }
    this.#now = end
  }

  /** Lets `ms` pass at once, as when the process was stopped: the timers that came due meanwhile fire late, at the end. */
  async jump(ms: number): Promise<void> {
    this.#now += ms
    await this.advance(0)
  }

  #due(end: number): Armed | undefined {
    let next: Armed | undefined
    for (const timer of this.#armed) {
      if (timer.at > end) continue
      if (next === undefined || timer.at < next.at || (timer.at === next.at && timer.order < next.order)) next = timer
    }
    return next
  }

  #fire(timer: Armed): void {
    this.#armed.delete(timer)
    timer.callback()
  }
}
