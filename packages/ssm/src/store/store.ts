import { Kysely } from 'kysely'
import { migrate } from './migrations.js'
import type { Tables } from './schema.js'
import { SqliteThreadDialect } from './sqlite-dialect.js'
import { SqliteThread } from './sqlite-thread.js'

/** What is kept beside the token: accounts, the audit, and when keys were made. */
export type Store = Kysely<Tables>

/**
 * Opens the SQLite file, which is made where there is none, and brings its tables to this version.
 *
 * @throws StoreError
 */
export async function openStore(file: string): Promise<Store> {
  const store = new Kysely<Tables>({ dialect: new SqliteThreadDialect(await SqliteThread.open(file)) })
  try {
    await migrate(store)
  } catch (error) {
    await store.destroy()
    throw error
  }
  return store
}
