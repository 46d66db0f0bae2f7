import { networkOf } from '../limits/address.js'
import { Buckets } from '../limits/buckets.js'
import { type AuditEvent, serviceEvent } from './entry.js'

/** Of one address or account, and of all together: so many have entries of their own at once, and one more each so many milliseconds. */
const OF_ONE = { burst: 100, refillMs: 1_000 }
const OF_ALL = { burst: 1_000, refillMs: 100 }
const ALL = ''
/** How long, in milliseconds, the others are counted before an entry says how many they were. */
const COUNTED_MS = 10_000
/** Of how many addresses and accounts they are counted by themselves; those of the rest are counted together. */
const MOST_COUNTED = 100

/** Those who were refused more often than is written down each time. */
interface Crowd {
  account: string | null
  address: string | null
  count: number
}

/**
 * Writes down requests that were refused, which anybody can make as many of as the network carries: the first by themselves, the rest as a
 * number. Otherwise whoever reaches the service could fill the disk, and what others do would be lost among it.
 */
export class Refusals {
  readonly #record: (event: AuditEvent) => void
  readonly #each: Buckets
  readonly #all: Buckets
  readonly #crowds = new Map<string, Crowd>()
  #timer: NodeJS.Timeout | undefined

  /** @param now milliseconds of a clock that never goes back */
  constructor(record: (event: AuditEvent) => void, now?: () => number) {
    this.#record = record
    this.#each = new Buckets(OF_ONE, now)
    this.#all = new Buckets(OF_ALL, now)
  }

  record(event: AuditEvent): void {
    const { account, address } = event
    const name = account === null ? `address ${networkOf(address ?? '')}` : `account ${account}`
    if (this.#each.wait(name) === 0 && this.#all.wait(ALL) === 0) {
      this.#each.take(name)
      this.#all.take(ALL)
      this.#record(event)
      return
    }
    const crowd = this.#crowdOf(name, account, address)
    crowd.count++
    this.#timer ??= setTimeout(() => this.writeCounts(), COUNTED_MS).unref()
  }

  /** Writes down how many were counted until now. */
  writeCounts(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const { account, address, count } of this.#crowds.values())
      this.#record({ ...serviceEvent('REFUSED', new Date(), count), account, address })
    this.#crowds.clear()
  }

  #crowdOf(name: string, account: string | null, address: string | null): Crowd {
    const known = this.#crowds.get(name)
    if (known !== undefined) return known
    const isRest = this.#crowds.size >= MOST_COUNTED && name !== ALL
    if (isRest) return this.#crowdOf(ALL, null, null)
    const crowd: Crowd = { account, address: account === null ? address : null, count: 0 }
    this.#crowds.set(name, crowd)
    return crowd
  }
}
