import { isRole, type Role } from '../auth/actions.js'
import type { AccountRow } from '../store/schema.js'
import type { Store } from '../store/store.js'
import { AccountError } from './account-error.js'
import { hashPassword, makePassword } from './password.js'

/** Who may log in, without what proves it. */
export interface Account {
  serviceId: string
  role: Role
  /** counts up with each new password: tokens of an older one are refused */
  credentialVersion: number
  /** RFC 3339; undefined for an account that may be used */
  disabledAt: string | undefined
  createdAt: string
}

/** What was done to an account. */
export interface AccountChange {
  action: 'ACCOUNT_ADD' | 'ACCOUNT_DISABLE' | 'ACCOUNT_RESET_PASSWORD'
  serviceId: string
}

/** Writes a change down, in the transaction that makes it: neither is there without the other. */
export type RecordChange = (store: Store, change: AccountChange) => Promise<void>

/** An account with the hash that its password is compared with. */
export interface Credentials extends Account {
  passwordHash: string
}

const SERVICE_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/** The accounts in the store. Passwords are made here, given out once, and kept as a hash only. */
export class Accounts {
  readonly #store: Store
  readonly #record: RecordChange
  readonly #now: () => Date

  constructor(store: Store, record: RecordChange = async () => {}, now: () => Date = () => new Date()) {
    this.#store = store
    this.#record = record
    this.#now = now
  }

  /** Makes an account and gives its password. @throws AccountError where the name is taken or of the wrong form */
  async add(serviceId: string, role: Role): Promise<string> {
    if (!SERVICE_ID.test(serviceId)) {
      throw new AccountError(
        `service id ${JSON.stringify(serviceId.slice(0, 80))}: expected 1 to 64 letters, digits, dots, dashes or underscores, the first ` +
          'a letter or digit',
      )
    }
    const password = makePassword()
    const time = this.#now().toISOString()
    const row = {
      service_id: serviceId,
      role,
      password_hash: await hashPassword(password),
      credential_version: 1,
      disabled_at: null,
      created_at: time,
      changed_at: time,
    }
    await this.#change({ action: 'ACCOUNT_ADD', serviceId }, async (store) => {
      const { numInsertedOrUpdatedRows } = await store
        .insertInto('accounts')
        .values(row)
        .onConflict((conflict) => conflict.doNothing())
        .executeTakeFirstOrThrow()
      if (numInsertedOrUpdatedRows === 1n) return
      throw new AccountError(
        `account ${serviceId} is there already: choose another service id, or give it a new password: ssm account reset-password ${serviceId}`,
      )
    })
    return password
  }

  /** From now on nobody logs in with it, and tokens it got are refused. @throws AccountError where there is none */
  async disable(serviceId: string): Promise<void> {
    const time = this.#now().toISOString()
    await this.#change({ action: 'ACCOUNT_DISABLE', serviceId }, async (store) => {
      const { numUpdatedRows } = await store
        .updateTable('accounts')
        .set((row) => ({ disabled_at: row.fn.coalesce('disabled_at', row.val(time)), changed_at: time }))
        .where('service_id', '=', serviceId)
        .executeTakeFirstOrThrow()
      if (numUpdatedRows === 0n) throw unknownAccount(serviceId)
    })
  }

  /**
   * Gives an account a new password, and lets it in again where it was disabled. Tokens it got before are refused.
   *
   * @throws AccountError where there is none
   */
  async resetPassword(serviceId: string): Promise<string> {
    const password = makePassword()
    const hash = await hashPassword(password)
    await this.#change({ action: 'ACCOUNT_RESET_PASSWORD', serviceId }, async (store) => {
      const { numUpdatedRows } = await store
        .updateTable('accounts')
        .set((row) => ({
          password_hash: hash,
          credential_version: row('credential_version', '+', 1),
          disabled_at: null,
          changed_at: this.#now().toISOString(),
        }))
        .where('service_id', '=', serviceId)
        .executeTakeFirstOrThrow()
      if (numUpdatedRows === 0n) throw unknownAccount(serviceId)
    })
    return password
  }

  /** All of them, in the order of their names. */
  async list(): Promise<Account[]> {
    const rows = await this.#store.selectFrom('accounts').selectAll().orderBy('service_id').execute()
    return rows.map((row) => {
      const { passwordHash: _, ...account } = fromRow(row)
      return account
    })
  }

  /** One account with its hash, from the store at this moment. */
  async credentials(serviceId: string): Promise<Credentials | undefined> {
    const row = await this.#store
      .selectFrom('accounts')
      .selectAll()
      .where('service_id', '=', serviceId)
      .executeTakeFirst()
    return row === undefined ? undefined : fromRow(row)
  }

  async #change(change: AccountChange, make: (store: Store) => Promise<void>): Promise<void> {
    await this.#store.transaction().execute(async (transaction) => {
      await make(transaction)
      await this.#record(transaction, change)
    })
  }
}

function unknownAccount(serviceId: string): AccountError {
  return new AccountError(
    `there is no account ${JSON.stringify(serviceId.slice(0, 80))}: ssm account list names those there are`,
  )
}

function fromRow(row: AccountRow): Credentials {
  if (!isRole(row.role)) throw new Error(`the store gives account ${row.service_id} a role there is not`)
  return {
    serviceId: row.service_id,
    role: row.role,
    credentialVersion: row.credential_version,
    disabledAt: row.disabled_at ?? undefined,
    createdAt: row.created_at,
    passwordHash: row.password_hash,
  }
}
