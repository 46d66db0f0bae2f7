import { networkOf } from '../limits/address.js'
import { Buckets, type Limit } from '../limits/buckets.js'

/** An account from one address; one address whatever the account; an account whatever the address, high enough that few lock nobody out. */
const LIMITS = {
  pair: { burst: 5, refillMs: 12_000 },
  address: { burst: 30, refillMs: 2_000 },
  account: { burst: 100, refillMs: 1_000 },
} as const satisfies Record<string, Limit>

/** An attempt that has been counted. */
export interface Attempt {
  /** gives it back: only those count in which the password was compared and did not fit */
  giveBack(): void
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
      giveBack: () => {
        for (const [buckets, name] of wanted) buckets.giveBack(name)
      },
    }
  }
}
