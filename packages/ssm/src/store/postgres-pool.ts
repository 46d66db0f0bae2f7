import type { PostgresPool, PostgresPoolClient } from 'kysely'
import { type ClientConfig, DatabaseError, Pool, TypeOverrides } from 'pg'
import { StoreError } from './store-error.js'

/** Connections that the store holds at most: accounts and the audit need few. */
const CONNECTIONS = 5
/** How long, in milliseconds, to wait for a connection, and for an answer: a request must not wait for ever for a database that is away. */
const CONNECT_TIMEOUT_MS = 3_000
const QUERY_TIMEOUT_MS = 5_000

// places in a chain are far below 2^53
const INT8 = 20
const PARSERS = new TypeOverrides()
PARSERS.setTypeParser(INT8, Number)
/** What was answered as written is on the disk, unless whoever runs the database asks for more than that. */
const DURABLE = `select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'`

/** How long, in milliseconds, a transaction may do nothing: what it has locked is another's wait. */
const IDLE_TRANSACTION_MS = 10_000
/**
 * Has the server end a connection within 8 s after this machine has vanished: what it locked would stay locked until TCP gives up, which
 * takes hours where nothing is sent to it. The last is for what was sent and is not acknowledged. On a Unix socket they mean nothing.
 */
export const END_WITH_THIS_MACHINE = `select set_config(name, value, false) from (values ('tcp_keepalives_idle', '5'),
  ('tcp_keepalives_interval', '1'), ('tcp_keepalives_count', '3'), ('tcp_user_timeout', '8000')) as settings (name, value)`

/** How every connection to the database is made. */
export function connectionOf(url: string): ClientConfig {
  return {
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    statement_timeout: QUERY_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_TRANSACTION_MS,
    keepAlive: true,
    application_name: 'ssm',
    types: PARSERS,
  }
}

/** Connections to PostgreSQL as the query layer wants them; what goes wrong is a {@link StoreError}. */
export class PostgresConnections implements PostgresPool {
  readonly #pool: Pool
  /** connections on which it was made sure that what is committed is on the disk, and that they end with this machine */
  readonly #prepared = new WeakSet<object>()

  constructor(url: string) {
    this.#pool = new Pool({ ...connectionOf(url), max: CONNECTIONS })
    // of a connection that nobody uses at the moment: the next one to use it gets a new one
    this.#pool.on('error', () => {})
  }

  async connect(): Promise<PostgresPoolClient> {
    const client = await this.#pool.connect().catch((error: unknown) => {
      throw toStoreError(error)
    })
    let broken = false
    const onError = () => (broken = true)
    client.on('error', onError)
    const query = async (sql: string, parameters: readonly unknown[]) => {
      try {
        return await client.query(sql, [...parameters])
      } catch (error) {
        // one that did not answer in time may answer the next question with this one's answer
        if (!(error instanceof DatabaseError)) broken = true
        throw toStoreError(error)
      }
    }
    const release = (destroy = false) => {
      client.off('error', onError)
      client.release(destroy || broken)
    }
    if (!this.#prepared.has(client)) {
      try {
        await query(DURABLE, [])
        await query(END_WITH_THIS_MACHINE, [])
      } catch (error) {
        release()
        throw error
      }
      this.#prepared.add(client)
    }
    // its other overload is for cursors, which nothing here uses
    return { query: query as unknown as PostgresPoolClient['query'], release }
  }

  async end(): Promise<void> {
    await this.#pool.end()
  }
}

/** The driver's error as the store's. Its other members may hold the row that a statement was about, so they are left behind. */
export function toStoreError(error: unknown): StoreError {
  if (error instanceof DatabaseError) return new StoreError(error.code ?? 'STORE_BROKEN', error.message)
  const { message } = error instanceof Error ? error : new Error(String(error))
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'STORE_BROKEN'
  // several addresses that all failed are one error without words
  return new StoreError(
    code,
    `the database cannot be reached or does not answer${message === '' ? '' : `: ${message}`}`,
  )
}
