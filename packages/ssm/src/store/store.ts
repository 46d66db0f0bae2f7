import { existsSync } from 'node:fs'
import { Kysely, PostgresDialect } from 'kysely'
import { isDatabaseUrl } from './database-url.js'
import { migrate } from './migrations.js'
import { PostgresConnections } from './postgres-pool.js'
import type { Tables } from './schema.js'
import { SqliteThreadDialect } from './sqlite-dialect.js'
import { SqliteThread } from './sqlite-thread.js'
import { StoreError } from './store-error.js'

/** What is kept beside the token: accounts, the audit, and when keys were made. */
export type Store = Kysely<Tables>

/**
 * Opens the store and brings its tables to this version.
 *
 * @param place the URL of a PostgreSQL database, or the path of a SQLite file
 * @param missing what becomes of a file that is not there: an empty one would have no accounts, and an audit without its past
 * @throws StoreError
 */
export async function openStore(place: string, missing: 'make' | 'refuse' = 'make'): Promise<Store> {
  if (missing === 'refuse' && !isDatabaseUrl(place) && !existsSync(place)) {
    const message = `there is no ${place}: ssm init makes it; check the data folder (--data, SSM_DATA)`
    throw new StoreError('STORE_MISSING', message)
  }
  const dialect = isDatabaseUrl(place)
    ? new PostgresDialect({ pool: new PostgresConnections(place) })
    : new SqliteThreadDialect(await SqliteThread.open(place))
  const store = new Kysely<Tables>({ dialect })
  try {
    await migrate(store)
  } catch (error) {
    await store.destroy()
    throw error
  }
  return store
}
