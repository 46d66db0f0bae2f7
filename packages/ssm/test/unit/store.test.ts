import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CompiledQuery, sql } from 'kysely'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { openStore, type Store } from '../../src/store/store.js'

const directory = mkdtempSync(join(tmpdir(), 'ssm-store-'))
afterAll(() => rmSync(directory, { recursive: true }))
let count = 0
const newFile = () => join(directory, `${++count}.sqlite`)

async function open(file = newFile()): Promise<Store> {
  const store = await openStore(file)
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

describe('the store', () => {
  it('keeps what was written when it is opened again, in a file that only its owner may read', async () => {
    const file = newFile()
    const store = await openStore(file)
    await store.insertInto('accounts').values(account('a')).execute()
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(statSync(`${file}-wal`).mode & 0o777).toBe(0o600)
    await store.destroy()
    expect(await idsIn(await open(file))).toEqual(['a'])
  })

  it('writes ahead, and waits for the disk with each commit', async () => {
    const store = await open()
    expect((await sql<{ journal_mode: string }>`pragma journal_mode`.execute(store)).rows).toEqual([
      { journal_mode: 'wal' },
    ])
    expect((await sql<{ synchronous: number }>`pragma synchronous`.execute(store)).rows).toEqual([{ synchronous: 2 }])
  })

  it('takes other statements into no transaction, and undoes all of one that fails', async () => {
    const store = await open()
    const failing = store.transaction().execute(async (transaction) => {
      await transaction.insertInto('accounts').values(account('within')).execute()
      await transaction.insertInto('accounts').values(account('within')).execute()
    })
    const beside = store.insertInto('accounts').values(account('beside')).execute()
    await expect(failing).rejects.toMatchObject({ code: 'SQLITE_CONSTRAINT_PRIMARYKEY' })
    await beside
    expect(await idsIn(store)).toEqual(['beside'])
  })

  it('says how many rows a statement changed', async () => {
    const store = await open()
    await store
      .insertInto('accounts')
      .values([account('a'), account('b')])
      .execute()
    expect(await store.updateTable('accounts').set({ role: 'webconsole' }).executeTakeFirst()).toMatchObject({
      numUpdatedRows: 2n,
    })
  })

  it('leaves the event loop free while a statement runs', async () => {
    const store = await open()
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

  it('refuses one whose tables are of a newer version', async () => {
    const file = newFile()
    const store = await openStore(file)
    await sql`insert into kysely_migration values ('9999-from-the-future', '2030-01-01T00:00:00.000Z')`.execute(store)
    await store.destroy()
    await expect(openStore(file)).rejects.toMatchObject({ code: 'MIGRATION_FAILED', message: /newer/ })
  })

  it('rejects what is asked of it once it is closed', async () => {
    const store = await openStore(newFile())
    await store.destroy()
    await expect(idsIn(store)).rejects.toThrow(/destroyed|closed/)
  })
})
