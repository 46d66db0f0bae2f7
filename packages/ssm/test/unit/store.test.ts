import { statSync, writeFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { CompiledQuery, sql } from 'kysely'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openStore, type Store } from '../../src/store/store.js'
import { useStorePlaces } from '../store-places.js'

const [sqlite, postgres] = await useStorePlaces()
const newFile = () => sqlite!.make()

async function open(place: string): Promise<Store> {
  const store = await openStore(place)
  onTestFinished(() => store.destroy())
  return store
}

const account = (service_id: string) => ({
  service_id,
  role: 'udm',
  password_hash: 'x',
  credential_version: 1,
  disabled_at: null,
  created_at: '2026-01-01T00:00:00.000Z',
  changed_at: '2026-01-01T00:00:00.000Z',
})

const idsIn = async (store: Store) =>
  (await store.selectFrom('accounts').select('service_id').orderBy('service_id').execute()).map((row) => row.service_id)

describe.each([sqlite!, ...(postgres === undefined ? [] : [postgres])])('a store in $name', ({ name, make }) => {
  it('keeps what was written when it is opened again', async () => {
    const place = make()
    const store = await openStore(place)
    await store.insertInto('accounts').values(account('a')).execute()
    await store.destroy()
    expect(await idsIn(await open(place))).toEqual(['a'])
  })

  it('takes other statements into no transaction, and undoes all of one that fails', async () => {
    const store = await open(make())
    const failing = store.transaction().execute(async (transaction) => {
      await transaction.insertInto('accounts').values(account('within')).execute()
      await transaction.insertInto('accounts').values(account('within')).execute()
    })
    const beside = store.insertInto('accounts').values(account('beside')).execute()
    const code = name === 'SQLite' ? 'SQLITE_CONSTRAINT_PRIMARYKEY' : '23505'
    await expect(failing).rejects.toMatchObject({ name: 'StoreError', code })
    await beside
    expect(await idsIn(store)).toEqual(['beside'])
  })

  it('says how many rows a statement changed, and reads places in a chain as numbers', async () => {
    const store = await open(make())
    await store
      .insertInto('accounts')
      .values([account('a'), account('b')])
      .execute()
    expect(await store.updateTable('accounts').set({ role: 'webconsole' }).executeTakeFirst()).toMatchObject({
      numUpdatedRows: 2n,
    })
    await store
      .insertInto('audit_entries')
      .values({ chain: 'main', seq: 2 ** 40, entry: '{}', hash: '' })
      .execute()
    expect(await store.selectFrom('audit_entries').select('seq').execute()).toEqual([{ seq: 2 ** 40 }])
  })

  it('refuses tables of a newer version', async () => {
    const place = make()
    const store = await openStore(place)
    await sql`insert into kysely_migration values ('9999-from-the-future', '2030-01-01T00:00:00.000Z')`.execute(store)
    await store.destroy()
    await expect(openStore(place)).rejects.toMatchObject({ code: 'MIGRATION_FAILED', message: /newer/ })
  })

  it('rejects what is asked of it once it is closed', async () => {
    const store = await openStore(make())
    await store.destroy()
    await expect(idsIn(store)).rejects.toThrow(/destroyed|closed/)
  })
})

describe.runIf(postgres !== undefined)('a store in PostgreSQL', () => {
  it('has on the disk what was committed, also where the database was told not to hurry', async () => {
    const place = postgres!.make()
    const database = new URL(place).pathname.slice(1)
    const first = await openStore(place)
    await sql`alter database ${sql.ref(database)} set synchronous_commit = off`.execute(first)
    await first.destroy()
    const store = await open(place)
    expect((await sql`show synchronous_commit`.execute(store)).rows).toEqual([{ synchronous_commit: 'on' }])
  })

  it('is opened by several at once when it is new', async () => {
    const place = postgres!.make()
    const stores = await Promise.all([open(place), open(place), open(place)])
    for (const store of stores) expect(await idsIn(store)).toEqual([])
  })

  it('has the server end what is held for this machine soon after that has vanished', async () => {
    const store = await open(postgres!.make())
    const names = ['tcp_keepalives_idle', 'tcp_keepalives_interval', 'tcp_keepalives_count', 'tcp_user_timeout']
    // on a Unix socket they read as 0 whatever they are set to
    const set = sql`select name from pg_settings where source = 'session' and name like 'tcp%' order by name`
    expect((await set.execute(store)).rows).toEqual(names.toSorted().map((name) => ({ name })))
    const idle = sql`select setting from pg_settings where name = 'idle_in_transaction_session_timeout'`
    expect((await idle.execute(store)).rows).toEqual([{ setting: '10000' }])
  })

  it('goes on with new connections when those it had are cut', async () => {
    const store = await open(postgres!.make())
    expect(await idsIn(store)).toEqual([])
    const cut = sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()`
    await expect(cut.execute(store)).rejects.toMatchObject({ name: 'StoreError' })
    await expect.poll(() => idsIn(store).catch(() => 'not yet')).toEqual([])
  })

  it.each([
    ['a wrong password', (url: string) => url.replace(/:[^:@]*@/, ':sesame-open@'), '28P01'],
    ['a server that is not there', () => 'postgres://ssm:sesame-open@%2Fnowhere%2Fat%20all/x', 'ENOENT'],
  ])('says nothing of the password where there is %s', async (_what, urlOf, code) => {
    const failing = openStore(urlOf(postgres!.make()))
    await expect(failing).rejects.toMatchObject({ name: 'StoreError', code })
    const error: unknown = await failing.catch((each: unknown) => each)
    expect(inspect(error, { depth: 10 })).not.toContain('sesame')
  })
})

describe('a store in a file', () => {
  it('is readable by its owner only', async () => {
    const file = newFile()
    await open(file)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(statSync(`${file}-wal`).mode & 0o777).toBe(0o600)
  })

  it('writes ahead, and waits for the disk with each commit', async () => {
    const store = await open(newFile())
    expect((await sql<{ journal_mode: string }>`pragma journal_mode`.execute(store)).rows).toEqual([
      { journal_mode: 'wal' },
    ])
    expect((await sql<{ synchronous: number }>`pragma synchronous`.execute(store)).rows).toEqual([{ synchronous: 2 }])
  })

  it('leaves the event loop free while a statement runs', async () => {
    const store = await open(newFile())
    const state = { done: false }
    const counting = store
      .executeQuery<{ n: number }>(
        CompiledQuery.raw(
          'with recursive c(n) as (select 1 union all select n + 1 from c where n < 3000000) select max(n) n from c',
        ),
      )
      .then(({ rows }) => {
        state.done = true
        return rows
      })
    let turns = 0
    while (!state.done) {
      await new Promise((resolve) => setImmediate(resolve))
      turns++
    }
    expect(await counting).toEqual([{ n: 3_000_000 }])
    // on the loop the statement would be over before the first turn
    expect(turns).toBeGreaterThan(10)
  })

  it('refuses a file that is no store', async () => {
    const file = newFile()
    writeFileSync(file, 'this is no database, and it is longer than the header of one would be: '.repeat(10))
    await expect(openStore(file)).rejects.toMatchObject({ code: 'SQLITE_NOTADB' })
  })
})
