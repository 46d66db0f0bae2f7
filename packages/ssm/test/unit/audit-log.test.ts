import type { Client } from 'pkcs11-pool'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { AuditLog } from '../../src/audit/audit-log.js'
import type { StoredEntry } from '../../src/audit/audit-store.js'
import { GENESIS } from '../../src/audit/chain.js'
import { KeptHeads } from '../../src/audit/kept-heads.js'
import { serviceEvent } from '../../src/audit/entry.js'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

/** A log over a store that does what the test says. The token is away, so that nothing is signed. */
async function start() {
  const client = { withSession: () => Promise.reject(new Error('the token is away')) } as unknown as Client
  const written: StoredEntry[] = []
  let mode: 'good' | 'failing' | 'written but failing' = 'good'
  const failures: unknown[] = []
  const log = await AuditLog.open({
    chain: 'main',
    client,
    kept: new KeptHeads(client, '/nowhere'),
    comparedWhen: 'signing',
    onFailure: (error) => failures.push(error),
    store: {
      lastEntry: () => Promise.resolve(written.at(-1) ?? GENESIS),
      lastHead: () => Promise.resolve(0),
      entryAt: (_chain, place) => Promise.resolve(written.find(({ seq }) => seq === place)),
      entries: async function* () {
        yield* written
      },
      // oxlint-disable-next-line require-yield -- nothing is signed
      heads: async function* () {
        return undefined
      },
      append: async (_chain, entries) => {
        if (mode !== 'failing') written.push(...entries)
        if (mode !== 'good') throw new Error('the disk is full')
      },
      addHead: () => Promise.resolve(),
      touch: () => (mode === 'good' ? Promise.resolve() : Promise.reject(new Error('the disk is full'))),
    },
  })
  const actions = () => written.map(({ entry }) => (JSON.parse(entry) as { action: string }).action)
  return { log, written, actions, failures, become: (next: typeof mode) => (mode = next) }
}

const event = (action: string) => serviceEvent(action, new Date())

describe('the audit log', () => {
  it('writes what comes within a moment at once', async () => {
    const { log, actions } = await start()
    log.record(event('A'))
    log.record(event('B'))
    expect(actions()).toEqual(['SERVICE_START'])
    await vi.advanceTimersByTimeAsync(20)
    expect(actions()).toEqual(['SERVICE_START', 'A', 'B'])
  })

  it('keeps the order in which things happened, whether somebody waits for them or not', async () => {
    const { log, actions } = await start()
    log.record(event('A'))
    const waiting = log.recordDurably(event('B'))
    log.record(event('C'))
    await waiting
    await vi.advanceTimersByTimeAsync(20)
    expect(actions()).toEqual(['SERVICE_START', 'A', 'B', 'C'])
  })

  it('tries again what it could not write, and says meanwhile that it cannot', async () => {
    const { log, actions, failures, become } = await start()
    become('failing')
    await expect(log.recordDurably(event('A'))).rejects.toThrow('the disk is full')
    expect([log.writable, failures.length]).toEqual([false, 1])
    await expect(log.requireWritable()).rejects.toThrow('the disk is full')
    become('good')
    await vi.advanceTimersByTimeAsync(1_000)
    expect([log.writable, actions()]).toEqual([true, ['SERVICE_START', 'A']])
  })

  it('tells all who wait that it cannot, those behind the batch that failed too', async () => {
    const { log, actions, become } = await start()
    become('failing')
    for (let made = 0; made < 450; made++) log.record(event('A'))
    const outcomes = await Promise.allSettled([log.recordDurably(event('B')), log.recordDurably(event('C'))])
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    await expect(log.recordDurably(event('D'))).rejects.toThrow('the disk is full')
    become('good')
    await vi.advanceTimersByTimeAsync(10_000)
    expect(actions().slice(-3)).toEqual(['B', 'C', 'D'])
  })

  it('writes nothing twice where a failed attempt had succeeded unseen, though more came meanwhile', async () => {
    const { log, written, actions, become } = await start()
    become('written but failing')
    await expect(log.recordDurably(event('A'))).rejects.toThrow('the disk is full')
    log.record(event('B'))
    become('good')
    await log.requireWritable()
    await vi.advanceTimersByTimeAsync(1_000)
    expect(actions()).toEqual(['SERVICE_START', 'A', 'B'])
    expect(written.map(({ seq }) => seq)).toEqual([1, 2, 3])
  })

  it('holds so many and counts the rest, and writes how many were lost', async () => {
    const { log, written, actions, become } = await start()
    become('failing')
    for (let made = 0; made < 10_005; made++) log.record(event('A'))
    await vi.advanceTimersByTimeAsync(1_000)
    expect(log.writable).toBe(false)
    become('good')
    await vi.advanceTimersByTimeAsync(60_000)
    expect(log.writable).toBe(true)
    expect(actions().filter((action) => action === 'A')).toHaveLength(10_000)
    const lost = written.map(({ entry }) => JSON.parse(entry) as { action: string; count: number })
    expect(lost.filter(({ action }) => action === 'LOST')).toMatchObject([{ count: 5 }])
  })

  it('writes what waits when it is closed, and tells that nothing signed it', async () => {
    const { log, actions, failures } = await start()
    for (let made = 0; made < 450; made++) log.record(event('A'))
    await log.close()
    expect(actions()).toHaveLength(452)
    expect(actions().at(-1)).toBe('SERVICE_STOP')
    expect(failures).toMatchObject([{ message: 'the token is away' }])
  })
})
