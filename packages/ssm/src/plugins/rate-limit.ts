import { networkOf } from '../limits/address.js'
import { Buckets } from '../limits/buckets.js'
import { Problem } from '../problems/problem.js'

/** How many requests a client may make. */
export interface RateLimitOptions {
  /** in the long run */
  requestsPerMin: number
  /** at once, after a pause */
  burstSize: number
}

/** What takes the headers that tell a client where it stands. */
interface Answer {
  headers(headers: Record<string, string>): unknown
}

/**
 * Limits requests: those of an account by the account, wherever they come from; those without one by their address. So nobody who shares
 * the address of a client, behind a balancer, takes that client's share by asking without an account.
 */
export class RateLimit {
  readonly #options: RateLimitOptions
  readonly #accounts: Buckets
  readonly #addresses: Buckets

  /** @param now milliseconds of a clock that never goes back */
  constructor(options: RateLimitOptions, now?: () => number) {
    const limit = { burst: options.burstSize, refillMs: 60_000 / options.requestsPerMin }
    this.#options = options
    this.#accounts = new Buckets(limit, now)
    this.#addresses = new Buckets(limit, now)
  }

  /** Counts a request of an account. @throws Problem RATE_LIMITED */
  countAccount(serviceId: string, answer: Answer): void {
    this.#count(this.#accounts, serviceId, answer, 'this account')
  }

  /** Counts a request without an account. @throws Problem RATE_LIMITED */
  countAddress(address: string, answer: Answer): void {
    this.#count(this.#addresses, networkOf(address), answer, 'this address without an account')
  }

  #count(buckets: Buckets, name: string, answer: Answer, whose: string): void {
    const waitMs = buckets.wait(name)
    if (waitMs === 0) buckets.take(name)
    answer.headers({
      'ratelimit-limit': String(this.#options.burstSize),
      'ratelimit-remaining': String(buckets.remaining(name)),
      'ratelimit-reset': String(Math.ceil(buckets.fullIn(name) / 1000)),
    })
    if (waitMs === 0) return
    const seconds = Math.max(1, Math.ceil(waitMs / 1000))
    throw new Problem(
      'RATE_LIMITED',
      `too many requests of ${whose}, expected at most ${this.#options.burstSize} at once and ${this.#options.requestsPerMin} a minute; ` +
        `try again in ${seconds} s`,
      { headers: { 'retry-after': String(seconds) } },
    )
  }
}
