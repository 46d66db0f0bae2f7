import { Kysely, PostgresDialect } from 'kysely'
import { isDatabaseUrl } from './database-url.js'
import { migrate } from './migrations.js'
import { PostgresConnections } from './postgres-pool.js'
import type { Tables } from './schema.js'
import { SqliteThreadDialect } from './sqlite-dialect.js'
import { SqliteThread } from './sqlite-thread.js'

/** What is kept beside the token: accounts, the audit, and when keys were made. */
export type Store = Kysely<Tables>

/**
 * Opens the store and brings its tables to this version.
 *
 * @param place the URL of a PostgreSQL database, or the path of a SQLite file, which is made where there is none
 * @throws StoreError
 */
export async function openStore(place: string): Promise<Store> {
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
