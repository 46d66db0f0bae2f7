import type { Client } from 'pkcs11-pool'
import { AccountDirectory } from '../accounts/account-directory.js'
import { type Account, Accounts } from '../accounts/accounts.js'
import type { Store } from '../store/store.js'
import { AttemptLimits } from './attempt-limits.js'
import { invalidToken, invalidUser, missingHeader } from './auth-problems.js'
import { Login } from './login.js'
import { type PublicJwk, SigningKeyMissing, SigningKeys } from './signing-keys.js'
import { Tokens } from './tokens.js'

const BEARER = /^Bearer +([\w-]+\.[\w-]+\.[\w-]+) *$/i

/** Who may come in: accounts in the store, and tokens signed by a key on the HSM. */
export class Authentication {
  readonly #directory: AccountDirectory
  readonly #login: Login
  readonly #keys: SigningKeys
  readonly #tokens: Tokens

  /** @param now milliseconds of a clock that never goes back */
  constructor(client: Client, store: Store, now: () => number = () => performance.now()) {
    const accounts = new Accounts(store)
    this.#directory = new AccountDirectory(accounts, now)
    this.#login = new Login(accounts, new AttemptLimits(now))
    this.#keys = new SigningKeys(client, now)
    this.#tokens = new Tokens(this.#keys)
  }

  /** Looks at the token. @throws SigningKeyMissing */
  async requireSigningKey(): Promise<void> {
    if ((await this.#keys.publicKeys()).length === 0) throw new SigningKeyMissing()
  }

  /** A token for whoever knows the password. @throws Problem UNAUTHORIZED, RATE_LIMITED */
  async login(serviceId: string, password: string, address: string): Promise<{ token: string; account: Account }> {
    const account = await this.#login.check(serviceId, password, address)
    return { token: await this.#tokens.issue(account), account }
  }

  /**
   * The account that a request comes from.
   *
   * @param header the request's Authorization header
   * @throws Problem UNAUTHORIZED
   */
  async identify(header: string | undefined): Promise<Account> {
    if (header === undefined || header === '') throw missingHeader()
    const token = BEARER.exec(header)?.[1]
    if (token === undefined) throw invalidToken()
    const { serviceId, credentialVersion } = await this.#tokens.verify(token)
    const account = await this.#directory.get(serviceId, credentialVersion)
    if (account === undefined || account.disabledAt !== undefined) throw invalidUser()
    if (account.credentialVersion !== credentialVersion) throw invalidToken()
    return account
  }

  /** The account of that name, for whoever has proved otherwise to be it. @throws Problem UNAUTHORIZED */
  async identifyByName(serviceId: string): Promise<Account> {
    const account = await this.#directory.get(serviceId)
    if (account === undefined || account.disabledAt !== undefined) throw invalidUser()
    return account
  }

  publicKeys(): Promise<PublicJwk[]> {
    return this.#keys.publicKeys()
  }
}
