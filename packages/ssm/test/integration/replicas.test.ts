import { Client } from 'pg'
import { usePostgres } from 'testkit/vitest'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { bury } from '../../src/replicas/membership.js'
import { PostgresReplicas } from '../../src/replicas/postgres-replicas.js'
import { openStore, type Store } from '../../src/store/store.js'

const postgres = await usePostgres()

/** Nobody joins while somebody changes keys. */
const JOIN_LOCK = `select pg_advisory_lock_shared(${Number(0x73736d00)})`

let url: string
let store: Store
let joined: PostgresReplicas[]
beforeEach(async () => {
  url = postgres!.createDatabase()
  store = await openStore(url)
  joined = []
})
afterEach(async () => {
  await Promise.all(joined.map((replicas) => replicas.close()))
  await store.destroy()
})

/** One more replica, and all that it is told. */
async function join(instance: string) {
  const told: string[] = []
  const failures: unknown[] = []
  // a real clock that can be set forward, as a process that stood still sees it
  let ahead = 0
  const replicas = await PostgresReplicas.join({
    url,
    instance,
    bury: (replica) => bury(store, replica),
    onFailure: (error) => failures.push(error),
    now: () => performance.now() + ahead,
  })
  joined.push(replicas)
  replicas.follow({
    destroying: (label, id) => told.push(`destroying ${label} ${id}`),
    changed: (label) => told.push(`changed ${label}`),
    anything: () => told.push('anything'),
  })
  return { replicas, told, failures, standStill: (ms: number) => (ahead += ms) }
}

/** Cuts the connection by which a replica follows the others. */
async function cut(instance: string): Promise<void> {
  const client = new Client(url)
  await client.connect()
  await client.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1', [
    `ssm ${instance}`,
  ])
  await client.end()
}

/** A replica that was killed: it is in the table, and says nothing any more. */
async function addDead(renewedAgoMs: number): Promise<void> {
  const renewedAt = Date.now() - renewedAgoMs
  await store.insertInto('replicas').values({ instance: 'dead', replica: 'dead', renewed_at: renewedAt }).execute()
}

describe.runIf(postgres !== undefined)('replicas on one database', () => {
  it('have the server notice soon that one has vanished with its machine, which held locks', async () => {
    const asked = vi.spyOn(Client.prototype, 'query')
    await join('one')
    const [first] = asked.mock.calls.map(([query]) => String(query))
    expect(first).toMatch(/tcp_keepalives_idle.*tcp_user_timeout/s)
    asked.mockRestore()
  })

  it('know of a key that one destroys before it does, and wait with that label until it is done', async () => {
    const [one, other] = [await join('one'), await join('other')]
    const reopened = await one.replicas.exclusively('k', async () => {
      await one.replicas.destroying('k', 7, async () => {})
      expect(other.told).toEqual(['destroying k 7'])
      expect(other.replicas.admission('another')).toBeUndefined()
      const waiting = other.replicas.admission('k')
      expect(waiting).toBeInstanceOf(Promise)
      await one.replicas.tellChanged('k')
      // what it is told last is told before this is over
      expect(other.told).toEqual(['destroying k 7', 'changed k'])
      return waiting
    })
    expect(reopened).toBeUndefined()
    expect(other.replicas.admission('k')).toBeUndefined()
    expect(one.told).toEqual([])
  })

  it('change the keys under a label one after the other', async () => {
    const replicas = [await join('one'), await join('other'), await join('third')].map((each) => each.replicas)
    let inside = 0
    const most: number[] = []
    const change = (which: PostgresReplicas) =>
      which.exclusively('k', async () => {
        most.push(++inside)
        await which.tellChanged('k')
        inside--
      })
    await Promise.all(replicas.map(change))
    await Promise.all(replicas.map(change))
    expect(most).toEqual([1, 1, 1, 1, 1, 1])
  })

  it('are told, when they come back from being cut off, what was destroyed meanwhile, and of anything else', async () => {
    const [one, other] = [await join('one'), await join('other')]
    await cut('other')
    await expect.poll(() => other.failures.length).toBeGreaterThan(0)
    await one.replicas.exclusively('k', async () => {
      await one.replicas.destroying('k', 1, async () => {})
      await one.replicas.tellChanged('k')
    })
    await other.replicas.caughtUp()
    expect(other.told.slice(0, 2)).toEqual(expect.arrayContaining(['destroying k 1', 'anything']))
    expect(other.replicas.admission('k')).toBeUndefined()
  })

  it('do not use keys while they are cut off, from the moment they know', async () => {
    const other = await join('other')
    expect(other.replicas.caughtUp()).toBeUndefined()
    const blocker = new Client(url)
    await blocker.connect()
    await blocker.query(JOIN_LOCK)
    await cut('other')
    await expect.poll(() => other.failures.length).toBeGreaterThan(0)
    const waiting = other.replicas.admission('k')
    expect(waiting).toBeInstanceOf(Promise)
    await blocker.end()
    await waiting
    expect(other.replicas.admission('k')).toBeUndefined()
  })

  it('say that the database is away after a while, and then at once', async () => {
    const other = await join('other')
    const blocker = new Client(url)
    await blocker.connect()
    await blocker.query(JOIN_LOCK)
    await cut('other')
    await expect.poll(() => other.failures.length).toBeGreaterThan(0)
    other.standStill(3_000)
    await expect(other.replicas.admission('k')).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE', status: 503 })
    await expect(other.replicas.exclusively('k', async () => {})).rejects.toMatchObject({
      code: 'DATABASE_UNAVAILABLE',
    })
    await blocker.end()
  })

  it('trust nothing of what they remember after they stood still, until the database has heard from them', async () => {
    const other = await join('other')
    other.standStill(3_500)
    const waiting = other.replicas.caughtUp()
    expect(waiting).toBeInstanceOf(Promise)
    await waiting
    expect(other.replicas.caughtUp()).toBeUndefined()
  })

  it('do not wait for one that was killed once it counts as gone, but until then', async () => {
    await addDead(3_000)
    const one = await join('one')
    const begun = store.selectFrom('replicas').select('renewed_at').where('instance', '=', 'dead')
    await one.replicas.exclusively('k', () => one.replicas.destroying('k', 1, async () => {}))
    const { renewed_at } = await begun.executeTakeFirstOrThrow()
    expect(Date.now() - renewed_at).toBeGreaterThanOrEqual(4_000)
  })

  it('do not destroy what the others could not be told of', async () => {
    const one = await join('one')
    let reached = false
    const change = one.replicas.exclusively('k', async () => {
      await cut('one')
      await expect.poll(() => one.failures.length).toBeGreaterThan(0)
      await one.replicas.destroying('k', 1, async () => void (reached = true))
    })
    await expect(change).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' })
    expect(reached).toBe(false)
  })

  it('open a label again when the one that was changing its keys goes', async () => {
    const [one, other] = [await join('one'), await join('other')]
    await one.replicas.exclusively('k', async () => {
      await one.replicas.destroying('k', 1, async () => {})
      const waiting = other.replicas.admission('k')
      await one.replicas.close()
      await waiting
    })
    expect(other.told.slice(0, 2)).toEqual(['destroying k 1', 'anything'])
  })

  it('each have a name of their own', async () => {
    await join('one')
    const store = await openStore(url)
    // its clock runs a thousand times as fast, so that it gives up soon
    const second = PostgresReplicas.join({
      url,
      instance: 'one',
      bury: (replica) => bury(store, replica),
      onFailure: () => {},
      now: () => performance.now() * 1_000,
    })
    await expect(second).rejects.toMatchObject({
      code: 'INSTANCE_TAKEN',
      message: expect.stringContaining('SSM_INSTANCE'),
    })
    await store.destroy()
  })

  it('hear nothing from whoever writes nonsense to their channel', async () => {
    const one = await join('one')
    for (const text of ['', '{', 'null', '[]', '{"from":"x"}', '{"from":"x","kind":"destroying"}', '{"kind":"left"}'])
      await one.replicas.exclusively('k', async () => {
        const client = new Client(url)
        await client.connect()
        await client.query('select pg_notify($1, $2)', ['ssm_keys', text])
        await client.end()
        await one.replicas.tellChanged('k')
      })
    expect(one.failures).toEqual([])
  })
})
