import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sql } from 'kysely'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { AuditLog } from '../../src/audit/audit-log.js'
import { AuditStore } from '../../src/audit/audit-store.js'
import { link } from '../../src/audit/chain.js'
import { AuditBroken } from '../../src/audit/chain-verifier.js'
import { entryText } from '../../src/audit/entry.js'
import { readAuditKeys } from '../../src/audit/signer.js'
import { verifyStore } from '../../src/audit/verify-store.js'
import { type AuditHarness, startAuditHarness } from '../audit-harness.js'
import { useStorePlaces } from '../store-places.js'

const hsm = useSoftHsmToken()
const places = await useStorePlaces()

describe.each(places)('on $name', ({ name, make }) => {
  let place: string
  let harness: AuditHarness

  beforeAll(() => {
    place = make()
  })
  beforeEach(async () => {
    harness = await startAuditHarness(hsm, place)
  })
  afterEach(async () => {
    // the next test's chains begin anew
    await harness.client.withSession(async (session) => {
      for (const handle of await session.findObjects({ CKA_CLASS: 'CKO_DATA', CKA_LABEL: 'AUDIT_HEAD' }))
        await session.destroyObject(handle)
    })
    for (const table of ['audit_entries', 'audit_heads', 'audit_chains'] as const)
      await harness.store.deleteFrom(table).execute()
    await harness.close()
  })

  /** A chain of so many entries and the two of its start and stop, all signed. */
  async function write(count: number, chain?: string): Promise<void> {
    const log = await harness.open(chain)
    for (let made = 0; made < count; made++) log.record(harness.event('DECRYPT_DATA'))
    await log.close()
    expect(harness.failures).toEqual([])
  }

  const rowsOf = () => harness.store.selectFrom('audit_entries').selectAll().orderBy('chain').orderBy('seq').execute()

  describe('the audit of a store', () => {
    it('that nobody touched verifies, over several runs', async () => {
      await write(500)
      await write(3)
      expect(await harness.verify()).toEqual([{ chain: 'main', entries: 507, signed: 507 }])
      const entries = (await rowsOf()).map(({ entry }) => JSON.parse(entry) as { action: string; count: number | null })
      expect(entries[502]).toMatchObject({ action: 'SERVICE_START', count: 0 })
      expect(entries.at(-1)).toMatchObject({ action: 'SERVICE_STOP' })
    })

    it('has a chain for each that writes, and all of them are verified', async () => {
      await Promise.all([write(20, 'one'), write(30, 'other')])
      expect(await harness.verify()).toEqual([
        { chain: 'one', entries: 22, signed: 22 },
        { chain: 'other', entries: 32, signed: 32 },
      ])
    })

    it('that ends without its last head says how much is not signed yet, and the next run signs it and tells', async () => {
      await write(2)
      const killed = await harness.open()
      for (let made = 0; made < 5; made++) await killed.recordDurably(harness.event('STORE_KEY'))
      expect(await harness.verify()).toEqual([{ chain: 'main', entries: 10, signed: 4 }])
      await write(0)
      expect(await harness.verify()).toEqual([{ chain: 'main', entries: 12, signed: 12 }])
      expect(JSON.parse((await rowsOf())[10]!.entry)).toMatchObject({ action: 'SERVICE_START', count: 6 })
    })

    describe('detects', () => {
      beforeEach(() => write(8))

      it('any flipped bit of any column of any row', async () => {
        const rows = await rowsOf()
        for (const { seq, entry, hash } of rows) {
          for (const [column, value] of Object.entries({ entry, hash })) {
            const bytes = Buffer.from(value)
            const at = (seq * 37) % (bytes.length * 8)
            // PostgreSQL keeps no text that is no UTF-8
            const bit = name === 'PostgreSQL' ? 0 : at & 7
            bytes[at >> 3]! ^= 1 << bit
            // as bytes: half of them are no UTF-8 any more
            const flipped = name === 'PostgreSQL' ? bytes.toString() : bytes
            await sql`update audit_entries set ${sql.ref(column)} = cast(${flipped} as text) where seq = ${seq}`.execute(
              harness.store,
            )
            await expect(harness.verify(), `bit ${at} of ${column} of entry ${seq}`).rejects.toMatchObject({
              chain: 'main',
              seq,
            })
            await harness.store.updateTable('audit_entries').set({ entry, hash }).where('seq', '=', seq).execute()
          }
        }
        await harness.verify()
      })

      it.each([1, 2, 5, 9, 10])('that entry %i was removed, and names it', async (seq) => {
        await harness.store.deleteFrom('audit_entries').where('seq', '=', seq).execute()
        await expect(harness.verify()).rejects.toMatchObject({ seq, message: expect.stringMatching(/it is missing/) })
      })

      it('that two entries changed places', async () => {
        const [, two, three] = await rowsOf()
        const put = async (seq: number, { entry, hash }: { entry: string; hash: string }) =>
          harness.store.updateTable('audit_entries').set({ entry, hash }).where('seq', '=', seq).execute()
        await put(2, three!)
        await put(3, two!)
        await expect(harness.verify()).rejects.toMatchObject({
          seq: 2,
          message: expect.stringMatching(/changed or moved/),
        })
      })

      it('that the end was cut off, and how much', async () => {
        await harness.store.deleteFrom('audit_entries').where('seq', '>', 6).execute()
        await expect(harness.verify()).rejects.toMatchObject({
          seq: 7,
          message: expect.stringMatching(/up to entry 10.*cut off/),
        })
      })

      it('that the end was cut off together with its heads, because the HSM keeps the newest', async () => {
        await write(3)
        await harness.store.deleteFrom('audit_entries').where('seq', '>', 10).execute()
        await harness.store.deleteFrom('audit_heads').where('seq', '>', 10).execute()
        await expect(harness.verify()).rejects.toMatchObject({ seq: 11, message: expect.stringMatching(/cut off/) })
      })

      it('that everything was removed', async () => {
        await harness.store.deleteFrom('audit_entries').execute()
        await harness.store.deleteFrom('audit_heads').execute()
        await expect(harness.verify()).rejects.toMatchObject({ chain: 'main', seq: 1 })
      })

      it('that an entry was replaced and all hashes after it computed anew', async () => {
        const rows = await rowsOf()
        let { hash } = rows[3]!
        for (const row of rows.slice(4)) {
          const entry = row.seq === 5 ? row.entry.replace('"udm"', '"amf"') : row.entry
          hash = link(hash, entry)
          await harness.store.updateTable('audit_entries').set({ entry, hash }).where('seq', '=', row.seq).execute()
        }
        await expect(harness.verify()).rejects.toMatchObject({
          seq: 10,
          message: expect.stringMatching(/not the entry that was signed/),
        })
      })

      it('that a head was changed', async () => {
        const heads = await harness.store.selectFrom('audit_heads').selectAll().execute()
        for (const { seq, statement, signature } of heads) {
          for (const changed of [
            { statement: statement.replace('"time":"2', '"time":"3') },
            { signature: `${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}` },
          ]) {
            await harness.store.updateTable('audit_heads').set(changed).where('seq', '=', seq).execute()
            await expect(harness.verify()).rejects.toMatchObject({
              seq,
              message: expect.stringMatching(/head that signs it/),
            })
            await harness.store
              .updateTable('audit_heads')
              .set({ statement, signature })
              .where('seq', '=', seq)
              .execute()
          }
        }
      })
    })
  })

  describe('a run that begins where the end was cut off', () => {
    /** Cuts the store off after an entry, with its heads. */
    async function cut(after: number): Promise<void> {
      await harness.store.deleteFrom('audit_entries').where('seq', '>', after).execute()
      await harness.store.deleteFrom('audit_heads').where('seq', '>', after).execute()
    }
    const removeFiles = async () => rmSync(harness.heads, { recursive: true })
    async function removeObjects(): Promise<void> {
      await harness.client.withSession(async (session) => {
        for (const handle of await session.findObjects({ CKA_CLASS: 'CKO_DATA', CKA_LABEL: 'AUDIT_HEAD' }))
          await session.destroyObject(handle)
      })
    }
    beforeEach(() => write(8))

    it.each([
      ['by the file, where the token keeps none', removeObjects],
      ['by the token, where the file is gone', removeFiles],
    ])('does not begin, signs nothing and appends nothing: %s', async (_by, forget) => {
      await write(3)
      await cut(10)
      await forget()
      await expect(harness.open()).rejects.toThrow('chain main, entry 11: it is missing, and so are all up to entry 15')
      expect((await rowsOf()).at(-1)?.seq).toBe(10)
      await expect(harness.verify()).rejects.toMatchObject({ seq: 11 })
    })

    it('does not begin where everything was removed', async () => {
      await cut(0)
      await expect(harness.open()).rejects.toMatchObject({ chain: 'main', seq: 1 })
    })

    it('does not begin where others were put in the place of what was cut off', async () => {
      await cut(6)
      let { hash } = (await rowsOf()).at(-1)!
      for (let seq = 7; seq <= 12; seq++) {
        const entry = entryText('main', seq, harness.event('DECRYPT_DATA'))
        hash = link(hash, entry)
        await harness.store.insertInto('audit_entries').values({ chain: 'main', seq, entry, hash }).execute()
      }
      await expect(harness.open()).rejects.toThrow('chain main, entry 10: it is not the entry that was signed')
    })

    it('does not begin where what no head signs yet was changed', async () => {
      const killed = await harness.open()
      for (let made = 0; made < 3; made++) await killed.recordDurably(harness.event('STORE_KEY'))
      const { entry } = (await rowsOf()).at(-2)!
      await harness.store
        .updateTable('audit_entries')
        .set({ entry: entry.replace('"udm"', '"amf"') })
        .where('seq', '=', 13)
        .execute()
      await expect(harness.open()).rejects.toThrow('chain main, entry 13: it was changed')
    })

    it('does not begin where a head beside the store was changed', async () => {
      const path = join(harness.heads, 'main.json')
      writeFileSync(path, readFileSync(path, 'utf8').replace('seq', 'sep'))
      await expect(harness.open()).rejects.toThrow(/a head that is kept beside the store was changed/)
    })

    it('does not look at the heads of other chains, which verifying does', async () => {
      await harness.client.withSession((session) =>
        session.createObject({
          CKA_CLASS: 'CKO_DATA',
          CKA_LABEL: 'AUDIT_HEAD',
          CKA_APPLICATION: 'ssm other',
          CKA_TOKEN: true,
          CKA_PRIVATE: true,
          CKA_VALUE: Buffer.from('no head'),
        }),
      )
      await write(0)
      await expect(harness.verify()).rejects.toThrow(/a head that is kept beside the store was changed/)
    })

    it('begins where only what no head signs is missing, as a kill leaves it, and where no file was kept yet', async () => {
      const killed = await harness.open()
      await killed.recordDurably(harness.event('STORE_KEY'))
      await cut(11)
      await removeFiles()
      await write(0)
      expect(await harness.verify()).toEqual([{ chain: 'main', entries: 13, signed: 13 }])
    })

    it('signs nothing and changes no key where the token is asked later, and other chains are verified all the same', async () => {
      await cut(6)
      const { store, client, kept, failures } = harness
      const log = await AuditLog.open({
        store: new AuditStore(store),
        client,
        kept,
        chain: 'main',
        comparedWhen: 'signing',
        onFailure: (error) => failures.push(error),
      })
      await log.requireWritable()
      await log.signHead()
      expect(failures).toMatchObject([{ seq: 8, name: 'AuditBroken' }])
      expect(log.writable).toBe(false)
      await expect(log.requireWritable()).rejects.toThrow(/entry 8: it is missing/)
      await log.close()
      failures.length = 0
      await write(1, 'other')
      const result = await verifyStore(new AuditStore(store), await readAuditKeys(client), await kept.read())
      expect(result).toMatchObject({ verified: [{ chain: 'other' }], broken: [{ chain: 'main' }] })
    })

    it('is told by an export too, whose signature does not make it whole', async () => {
      await cut(6)
      await expect(harness.verifyExport(await harness.export())).rejects.toThrow(
        'chain main, entry 7: when it was exported, it is missing, and so are all up to entry 10',
      )
    })
  })

  describe('an export of the audit', () => {
    it('is an entry a line, and verifies with the key of the token', async () => {
      await write(4, 'one')
      await write(6, 'other')
      const lines = await harness.export()
      expect(lines).toHaveLength(14)
      for (const line of lines) expect(Object.keys(JSON.parse(line) as object).slice(0, 2)).toEqual(['entry', 'hash'])
      expect((await harness.verifyExport(lines)).chains).toEqual([
        { chain: 'one', entries: 6, signed: 6 },
        { chain: 'other', entries: 8, signed: 8 },
      ])
    })

    it('covers entries that no head signs yet', async () => {
      const log = await harness.open()
      await log.recordDurably(harness.event('STORE_KEY'))
      const lines = await harness.export()
      expect((await harness.verifyExport(lines)).chains).toEqual([{ chain: 'main', entries: 2, signed: 2 }])
      await log.close()
    })

    it('detects each line that is removed, doubled or moved, and what is cut off', async () => {
      await write(3, 'one')
      await write(3, 'other')
      const lines = await harness.export()
      for (let at = 0; at < lines.length; at++) {
        await expect(harness.verifyExport(lines.toSpliced(at, 1)), `without line ${at}`).rejects.toThrow(/entry \d+/)
        await expect(harness.verifyExport(lines.toSpliced(at, 0, lines[at]!)), `line ${at} twice`).rejects.toThrow(
          /entry \d+/,
        )
        await expect(harness.verifyExport(lines.slice(0, at)), `only ${at} lines`).rejects.toThrow(/entry \d+/)
        if (at > 0) {
          const swapped = lines.with(at, lines[at - 1]!).with(at - 1, lines[at]!)
          await expect(harness.verifyExport(swapped), `line ${at} before the one before`).rejects.toThrow(/entry \d+/)
        }
      }
      await expect(harness.verifyExport([...lines.slice(0, -1), lines.at(-1)!.trimEnd()])).rejects.toThrow(
        /line 10 is not as/,
      )
    })

    it('is read no further than to the first line that is wrong', async () => {
      await write(20)
      const lines = await harness.export()
      let read = 0
      const stream = async function* () {
        for (const line of lines.toSpliced(4, 1)) {
          read++
          yield line
        }
      }
      await expect(harness.verifyExport(stream())).rejects.toMatchObject({ seq: 5 })
      expect(read).toBe(5)
    })

    it('has members of its own only, whatever they are', async () => {
      await write(1)
      const lines = await harness.export()
      for (const change of [{ head: null }, { export: null }, { head: {} }, { more: 1 }]) {
        const line = `${JSON.stringify({ ...(JSON.parse(lines[0]!) as object), ...change })}\n`
        await expect(harness.verifyExport(lines.with(0, line))).rejects.toThrow(
          /entry 1: line 1 is not as the export wrote it/,
        )
      }
    })

    // an export is the same from wherever it comes
    it.runIf(name === 'SQLite')('detects every single flipped bit', async () => {
      await write(1)
      const text = Buffer.from((await harness.export()).join(''))
      const undetected: number[] = []
      for (let at = 0; at < text.length * 8; at++) {
        const flipped = Buffer.from(text)
        flipped[at >> 3]! ^= 1 << (at & 7)
        const lines = flipped.toString('utf8').split(/(?<=\n)/)
        await harness.verifyExport(lines).then(
          () => undetected.push(at),
          (error) => expect(error, `bit ${at}`).toBeInstanceOf(AuditBroken),
        )
      }
      expect(undetected).toEqual([])
    })
  })
})
