import { userInfo } from 'node:os'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { Accounts } from '../../src/accounts/accounts.js'
import { AuditStore } from '../../src/audit/audit-store.js'
import { CliChain, cliChain, recordOf, untilPlaced } from '../../src/audit/cli-chain.js'
import { openStore, type Store } from '../../src/store/store.js'
import { type AuditHarness, startAuditHarness } from '../audit-harness.js'
import { useStorePlaces } from '../store-places.js'

const token = useSoftHsmToken()
const places = await useStorePlaces()

describe.each(places)('changes of accounts on the command line, with $name', ({ make }) => {
  const place = make()
  let harness: AuditHarness
  const forwarded: string[] = []
  const sign = (chain: string) =>
    new CliChain({
      store: new AuditStore(harness.store),
      client: harness.client,
      kept: harness.kept,
      chain,
      forward: (entries) => forwarded.push(...entries.map(({ entry }) => entry)),
      onFailure: (error) => harness.failures.push(error),
    }).sign()

  beforeAll(async () => {
    harness = await startAuditHarness(token, place)
  })
  afterAll(async () => {
    // the other store's chains begin anew
    await harness.client.withSession(async (session) => {
      for (const handle of await session.findObjects({ CKA_CLASS: 'CKO_DATA', CKA_LABEL: 'AUDIT_HEAD' }))
        await session.destroyObject(handle)
    })
    await harness.close()
  })

  async function entriesOf(chain: string): Promise<Record<string, unknown>[]> {
    const entries: Record<string, unknown>[] = []
    for await (const { entry } of new AuditStore(harness.store).entries(chain))
      entries.push(JSON.parse(entry) as Record<string, unknown>)
    return entries
  }
  const accountsOf = (store: Store, chain: string) => new Accounts(store, recordOf(chain))

  it('are entries that say who changed which account, and those that were refused are none', async () => {
    const chain = cliChain('told')
    const accounts = accountsOf(harness.store, chain)
    await accounts.add('amf-1', 'udm')
    await accounts.disable('amf-1')
    await accounts.resetPassword('amf-1')
    await expect(accounts.add('amf-1', 'udm')).rejects.toThrow('is there already')
    await expect(accounts.disable('nobody')).rejects.toThrow('there is no account')
    await expect(accounts.resetPassword('nobody')).rejects.toThrow('there is no account')
    const account = `cli:${userInfo().username}`
    expect(await entriesOf(chain)).toEqual(
      ['ACCOUNT_ADD', 'ACCOUNT_DISABLE', 'ACCOUNT_RESET_PASSWORD'].map((action, place) =>
        expect.objectContaining({ chain, seq: place + 1, action, account, subject: 'amf-1' }),
      ),
    )
  })

  it('are not made where they cannot be written down', async () => {
    const accounts = new Accounts(harness.store, () => Promise.reject(new Error('the disk is full')))
    await expect(accounts.add('amf-2', 'udm')).rejects.toThrow('the disk is full')
    expect(await accounts.credentials('amf-2')).toBeUndefined()
  })

  it('have one chain that verifies, many at once and beside a service that writes its own', async () => {
    const chain = cliChain('busy')
    const log = await harness.open('busy')
    const stores = await Promise.all(Array.from({ length: 3 }, () => openStore(place)))
    onTestFinished(async () => {
      for (const store of stores) await store.destroy()
    })
    await Promise.all(
      stores.flatMap((store, number) =>
        Array.from({ length: 3 }, async (_, each) => {
          log.record(harness.event('DECRYPT_DATA'))
          await untilPlaced(() => accountsOf(store, chain).add(`busy-${number}-${each}`, 'udm'))
        }),
      ),
    )
    await log.close()
    await sign(cliChain('told'))
    await sign(chain)
    expect(await harness.verify()).toEqual(
      expect.arrayContaining([
        { chain, entries: 9, signed: 9 },
        { chain: 'busy', entries: 11, signed: 11 },
      ]),
    )
    expect(new Set((await entriesOf(chain)).map(({ subject }) => subject)).size).toBe(9)
  })

  it('are signed once, told to the collector once, and then cannot be cut off', async () => {
    const chain = cliChain('cut')
    const accounts = accountsOf(harness.store, chain)
    await accounts.add('cut-1', 'udm')
    await sign(chain)
    forwarded.splice(0)
    await accounts.disable('cut-1')
    expect(await harness.verify()).toContainEqual({ chain, entries: 2, signed: 1 })
    await sign(chain)
    await sign(chain)
    expect(forwarded.map((entry) => (JSON.parse(entry) as { action: string }).action)).toEqual(['ACCOUNT_DISABLE'])
    expect(harness.failures).toEqual([])
    // with its head: what the token keeps still tells
    for (const table of ['audit_entries', 'audit_heads'] as const)
      await harness.store.deleteFrom(table).where('chain', '=', chain).where('seq', '=', 2).execute()
    await expect(harness.verify()).rejects.toThrow(`chain ${chain}, entry 2: it is missing`)
  })
})
