import { type Kysely, type Migration, type MigrationProvider, Migrator } from 'kysely'
import { StoreError } from './store-error.js'

/** In the order of their names. One that has been released is never changed. Types are those that SQLite and PostgreSQL share. */
const MIGRATIONS: Record<string, Migration> = {
  '0001-accounts': {
    async up(db) {
      await db.schema
        .createTable('accounts')
        .addColumn('service_id', 'text', (column) => column.primaryKey())
        .addColumn('role', 'text', (column) => column.notNull())
        .addColumn('password_hash', 'text', (column) => column.notNull())
        .addColumn('credential_version', 'integer', (column) => column.notNull())
        .addColumn('disabled_at', 'text')
        .addColumn('created_at', 'text', (column) => column.notNull())
        .addColumn('changed_at', 'text', (column) => column.notNull())
        .execute()
      await db.schema
        .createTable('signing_keys')
        .addColumn('key_id', 'integer', (column) => column.primaryKey())
        .addColumn('created_at', 'text', (column) => column.notNull())
        .execute()
    },
  },
  '0002-audit': {
    async up(db) {
      await db.schema
        .createTable('audit_entries')
        .addColumn('chain', 'text', (column) => column.notNull())
        .addColumn('seq', 'bigint', (column) => column.notNull())
        .addColumn('entry', 'text', (column) => column.notNull())
        .addColumn('hash', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('audit_entries_place', ['chain', 'seq'])
        .execute()
      await db.schema
        .createTable('audit_heads')
        .addColumn('chain', 'text', (column) => column.notNull())
        .addColumn('seq', 'bigint', (column) => column.notNull())
        .addColumn('statement', 'text', (column) => column.notNull())
        .addColumn('signature', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('audit_heads_place', ['chain', 'seq'])
        .execute()
      await db.schema
        .createTable('audit_chains')
        .addColumn('chain', 'text', (column) => column.primaryKey())
        .addColumn('touched_at', 'text', (column) => column.notNull())
        .execute()
    },
  },
  // used where several processes share a database
  '0003-replicas': {
    async up(db) {
      await db.schema
        .createTable('replicas')
        .addColumn('instance', 'text', (column) => column.primaryKey())
        .addColumn('replica', 'text', (column) => column.notNull())
        .addColumn('renewed_at', 'bigint', (column) => column.notNull())
        .execute()
      await db.schema
        .createTable('key_destructions')
        .addColumn('label', 'text', (column) => column.notNull())
        .addColumn('key_id', 'integer', (column) => column.notNull())
        .addColumn('times', 'integer', (column) => column.notNull())
        .addPrimaryKeyConstraint('key_destructions_key', ['label', 'key_id'])
        .execute()
    },
  },
}

const PROVIDER: MigrationProvider = { getMigrations: () => Promise.resolve(MIGRATIONS) }

/** Brings the tables to what this version expects. @throws StoreError */
export async function migrate<T>(db: Kysely<T>): Promise<void> {
  const { error } = await new Migrator({ db, provider: PROVIDER }).migrateToLatest()
  if (error === undefined) return
  // a database that is out of reach, or in which nothing may be made, says so itself
  if (error instanceof StoreError) throw error
  throw new StoreError(
    'MIGRATION_FAILED',
    'the tables could not be brought to this version: was the store made by a newer one?',
    { cause: error },
  )
}
