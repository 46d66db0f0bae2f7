import type { Accounts, Credentials } from '../accounts/accounts.js'
import { DECOY_HASH } from '../accounts/password.js'
import { PasswordChecks, TooManyChecks } from '../accounts/password-checks.js'
import type { AttemptLimits } from './attempt-limits.js'
import { invalidUser, tooManyAttempts, tooManyLogins } from './auth-problems.js'

/** Decides who is who they say they are. */
export class Login {
  readonly #accounts: Pick<Accounts, 'credentials'>
  readonly #limits: AttemptLimits
  readonly #checks = new PasswordChecks()

  constructor(accounts: Pick<Accounts, 'credentials'>, limits: AttemptLimits) {
    this.#accounts = accounts
    this.#limits = limits
  }

  /**
   * The account of that name and password. An unknown one and a wrong password take the same time and read the same.
   *
   * @throws Problem UNAUTHORIZED, RATE_LIMITED
   */
  async check(serviceId: string, password: string, address: string): Promise<Credentials> {
    const account = await this.#checks.share(serviceId, password, () => this.#check(serviceId, password, address))
    if (account === undefined) throw invalidUser()
    return account
  }

  async #check(serviceId: string, password: string, address: string): Promise<Credentials | undefined> {
    const attempt = this.#limits.begin(serviceId, address)
    if (typeof attempt === 'number') throw tooManyAttempts(attempt)
    try {
      const account = await this.#accounts.credentials(serviceId)
      const matches = await this.#checks.matches(password, account?.passwordHash ?? DECOY_HASH)
      if (!matches || account === undefined || account.disabledAt !== undefined) return undefined
      attempt.giveBack()
      return account
    } catch (error) {
      // nothing was compared: whoever knows the password must not be locked out by that
      attempt.giveBack()
      if (error instanceof TooManyChecks) throw tooManyLogins()
      throw error
    }
  }
}
