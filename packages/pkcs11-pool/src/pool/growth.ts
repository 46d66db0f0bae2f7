import type { Clock, Timer } from '../internal/clock.js'

/** How much of a mean the newest value makes. */
const WEIGHT = 1 / 8

/**
 * Whether it pays to open one more for those who wait, or whether one in use will be back before it is there.
 *
 * It pays when the wait for a release is longer than opening one took lately: when that is to be expected (from how long leases
 * last, how many there are and how many wait), and when it has come to pass. So a queue of a moment opens nothing, and whoever was
 * expected to be served sooner, and was not, has waited twice as long as for one opened at once. While nothing is known, and when
 * nothing is in use that could come back, it always pays: a cold pool opens one for each at once.
 *
 * Plain members, as in `PoolCore`: the mean of the leases is on the way of each release.
 */
export class Growth {
  readonly clock: Clock
  readonly longestMs: number
  readonly again: () => void
  heldMs: number | undefined = undefined
  createMs: number | undefined = undefined
  timer: Timer | undefined = undefined
  timerAt = Number.POSITIVE_INFINITY

  /** `longestMs` bounds the wait that is worth a creation from above; `again` is called when a wait has come to its bound. */
  constructor(clock: Clock, longestMs: number, again: () => void) {
    this.clock = clock
    this.longestMs = longestMs
    this.again = again
  }

  /** The wait from which on a creation pays. */
  get boundMs(): number {
    return Math.min(this.longestMs, this.createMs ?? 0)
  }

  leaseEnded(heldMs: number): void {
    const before = this.heldMs ?? heldMs
    this.heldMs = before + WEIGHT * (heldMs - before)
  }

  /** A quick one counts at once, and a slow one little: the first ones often wait for more, such as for a login. */
  created(tookMs: number): void {
    const before = this.createMs ?? tookMs
    this.createMs = Math.min(tookMs, before + WEIGHT * (tookMs - before))
  }

  /** Whether the last of `waiting` is to expect a wait beyond the bound, with `inUse` leases that will end. */
  expected(waiting: number, inUse: number): boolean {
    return inUse === 0 || this.heldMs === undefined || (waiting * this.heldMs) / inUse >= this.boundMs
  }

  /** Whether the wait that began at `since` has come to the bound; where it has not, `again` is called when it has. */
  cameToPass(since: number, now: number): boolean {
    const at = since + this.boundMs
    if (now >= at) return true
    if (at < this.timerAt) this.setTimer(at, now)
    return false
  }

  /** One timer for all: it is left alone when whom it was set for has been served. */
  setTimer(at: number, now: number): void {
    this.timer?.cancel()
    this.timerAt = at
    this.timer = this.clock.setTimeout(() => {
      this.timerAt = Number.POSITIVE_INFINITY
      this.again()
    }, at - now)
  }

  stop(): void {
    this.timer?.cancel()
    this.timerAt = Number.POSITIVE_INFINITY
  }
}
