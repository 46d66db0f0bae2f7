import { StoreError } from '../store/store-error.js'
import type { Account, Accounts } from './accounts.js'

/** Milliseconds for which the accounts are believed, and after which requests wait for newer ones: a disabled account is out within 5 s. */
const FRESH_MS = 2_000
const BELIEVED_MS = 4_000

/** The accounts as of a moment ago, so that no request waits for the store. */
export class AccountDirectory {
  readonly #accounts: Pick<Accounts, 'list'>
  readonly #now: () => number
  #known = new Map<string, Account>()
  #readAt = Number.NEGATIVE_INFINITY
  #reading: Promise<void> | undefined

  /** @param now milliseconds of a clock that never goes back */
  constructor(accounts: Pick<Accounts, 'list'>, now: () => number = () => performance.now()) {
    this.#accounts = accounts
    this.#now = now
  }

  /**
   * Rejects where the accounts are too old and cannot be read anew: nobody is let in on what was true once.
   *
   * @param credentialVersion of a token that is good but for this: what is known is older than it, so the store is asked
   */
  async get(serviceId: string, credentialVersion = 0): Promise<Account | undefined> {
    const askedAt = this.#now()
    const age = askedAt - this.#readAt
    if (age >= BELIEVED_MS) {
      await this.#refresh()
      if (this.#now() - this.#readAt >= BELIEVED_MS)
        throw new StoreError('STORE_SLOW', 'the accounts were read too slowly to be believed')
    }
    // whoever finds out next that they cannot be read is told
    else if (age >= FRESH_MS) this.#refresh().catch(() => {})
    // one that is under way may have begun before the account was changed
    while (this.#isOlder(serviceId, credentialVersion) && this.#readAt < askedAt) await this.#refresh()
    return this.#known.get(serviceId)
  }

  #isOlder(serviceId: string, credentialVersion: number): boolean {
    return (this.#known.get(serviceId)?.credentialVersion ?? -1) < credentialVersion
  }

  #refresh(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  async #read(): Promise<void> {
    // what changes while the store answers may not be in it
    const askedAt = this.#now()
    const accounts = await this.#accounts.list()
    this.#known = new Map(accounts.map((account) => [account.serviceId, account]))
    this.#readAt = askedAt
  }
}
