/** So many attempts at once, and one more each `refillMs` milliseconds. */
interface Limit {
  burst: number
  refillMs: number
}

/** An account from one address; one address whatever the account; an account whatever the address, high enough that few lock nobody out. */
const LIMITS = {
  pair: { burst: 5, refillMs: 12_000 },
  address: { burst: 30, refillMs: 2_000 },
  account: { burst: 100, refillMs: 1_000 },
} as const satisfies Record<string, Limit>

/** How many names are remembered of each kind: an attacker chooses them. */
const MAX_REMEMBERED = 10_000

/** An attempt that has been counted. */
export interface Attempt {
  /** gives it back: it succeeded, and only failures count */
  succeeded(): void
}

/** Counts attempts to log in, by account and address. */
export class AttemptLimits {
  readonly #pairs: Buckets
  readonly #addresses: Buckets
  readonly #accounts: Buckets

  /** @param now milliseconds of a clock that never goes back */
  constructor(now: () => number = () => performance.now()) {
    this.#pairs = new Buckets(LIMITS.pair, now)
    this.#addresses = new Buckets(LIMITS.address, now)
    this.#accounts = new Buckets(LIMITS.account, now)
  }

  /** Counts an attempt before it is made, so that many at once count too; or says how many milliseconds to wait. */
  begin(serviceId: string, address: string): Attempt | number {
    const from = networkOf(address)
    const wanted: [Buckets, string][] = [
      [this.#pairs, JSON.stringify([serviceId, from])],
      [this.#addresses, from],
      [this.#accounts, serviceId],
    ]
    const wait = Math.max(...wanted.map(([buckets, name]) => buckets.wait(name)))
    if (wait > 0) return wait
    for (const [buckets, name] of wanted) buckets.take(name)
    return {
      succeeded: () => {
        for (const [buckets, name] of wanted) buckets.giveBack(name)
      },
    }
  }
}

/** Who an address belongs to: of IPv6, a customer usually has a whole /64. */
function networkOf(address: string): string {
  if (!address.includes(':') || address.includes('.')) return address
  const [head = '', tail] = address.split('::')
  const front = head.split(':').filter((group) => group !== '')
  const back = tail === undefined ? [] : tail.split(':').filter((group) => group !== '')
  const zeros = Array<string>(Math.max(0, 8 - front.length - back.length)).fill('0')
  return `${[...front, ...zeros, ...back].slice(0, 4).join(':')}::/64`
}

/** Token buckets by name. One that is full again is not remembered. */
class Buckets {
  readonly #limit: Limit
  readonly #now: () => number
  /** when the bucket will be full again, in the order of the last attempt */
  readonly #fullAt = new Map<string, number>()

  constructor(limit: Limit, now: () => number) {
    this.#limit = limit
    this.#now = now
  }

  /** Milliseconds until the next attempt may be made; 0 for now. */
  wait(name: string): number {
    const { burst, refillMs } = this.#limit
    return Math.max(0, this.#missing(name) - (burst - 1) * refillMs)
  }

  take(name: string): void {
    this.#set(name, this.#missing(name) + this.#limit.refillMs)
    if (this.#fullAt.size <= MAX_REMEMBERED) return
    // the one whose last attempt is the longest ago
    for (const oldest of this.#fullAt.keys()) {
      this.#fullAt.delete(oldest)
      return
    }
  }

  giveBack(name: string): void {
    this.#set(name, this.#missing(name) - this.#limit.refillMs)
  }

  /** Milliseconds until it is full. */
  #missing(name: string): number {
    return Math.max(0, (this.#fullAt.get(name) ?? 0) - this.#now())
  }

  #set(name: string, missing: number): void {
    this.#fullAt.delete(name)
    if (missing > 0) this.#fullAt.set(name, this.#now() + missing)
  }
}
