/** So many at once, and one more each `refillMs` milliseconds. */
export interface Limit {
  burst: number
  refillMs: number
}

/** How many names are remembered of each kind: an attacker chooses them. */
const MAX_REMEMBERED = 10_000

/** Token buckets by name. One that is full again is not remembered. */
export class Buckets {
  readonly #limit: Limit
  readonly #now: () => number
  /** when the bucket will be full again, in the order of the last one taken */
  readonly #fullAt = new Map<string, number>()

  /** @param now milliseconds of a clock that never goes back */
  constructor(limit: Limit, now: () => number = () => performance.now()) {
    this.#limit = limit
    this.#now = now
  }

  /** Milliseconds until one may be taken; 0 for now. */
  wait(name: string): number {
    const { burst, refillMs } = this.#limit
    return Math.max(0, this.fullIn(name) - (burst - 1) * refillMs)
  }

  /** How many may be taken now. */
  remaining(name: string): number {
    const { burst, refillMs } = this.#limit
    return Math.max(0, Math.floor(burst - this.fullIn(name) / refillMs))
  }

  /** Milliseconds until it is full. */
  fullIn(name: string): number {
    return Math.max(0, (this.#fullAt.get(name) ?? 0) - this.#now())
  }

  take(name: string): void {
    this.#set(name, this.fullIn(name) + this.#limit.refillMs)
    if (this.#fullAt.size <= MAX_REMEMBERED) return
    // the one that was last taken from the longest ago
    for (const oldest of this.#fullAt.keys()) {
      this.#fullAt.delete(oldest)
      return
    }
  }

  giveBack(name: string): void {
    this.#set(name, this.fullIn(name) - this.#limit.refillMs)
  }

  #set(name: string, missing: number): void {
    this.#fullAt.delete(name)
    if (missing > 0) this.#fullAt.set(name, this.#now() + missing)
  }
}
