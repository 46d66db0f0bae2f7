import { expect, test } from 'vitest'
import { createPool, type PoolOptions } from '../../src/pool/index.js'
import { FakeClock, settled } from '../support/fake-clock.js'
import { type Ending, FakeFactory } from '../support/fake-factory.js'
import { rejection } from '../support/rejection.js'

const takes = (afterMs: number): Ending => ({ afterMs, ending: 'ok' })

/** A pool whose resources take 10 ms to open. */
function setUp(options: PoolOptions = {}) {
  const clock = new FakeClock()
  const factory = new FakeFactory(clock, { validates: false })
  factory.onCreate = () => takes(10)
  const pool = createPool(factory, { maxSize: 100, ...options }, { clock, random: () => 0 })
  const lend = (count: number) => Promise.all(Array.from({ length: count }, () => pool.acquire()))
  return { clock, factory, pool, lend }
}

/** The same with 4 resources, all of them out, after leases of `heldMs` each. */
async function warm(heldMs: number, options: PoolOptions = {}) {
  const world = setUp({ minSize: 4, ...options })
  await world.clock.advance(10)
  const leases = await world.lend(4)
  await world.clock.advance(heldMs)
  for (const lease of leases) lease.release()
  return { ...world, leases: await world.lend(4) }
}

test('a cold pool opens one for each who comes, at once', () => {
  const { pool, lend } = setUp({ minSize: 0 })
  void lend(20)
  expect(pool.stats()).toMatchObject({ creating: 20, waiting: 20 })
})

test('the first burst is served by as many as it has callers: how long leases last is not known yet', async () => {
  const { pool, clock, lend } = setUp({ minSize: 2 })
  await clock.advance(10)
  const burst = lend(20)
  expect(pool.stats()).toMatchObject({ inUse: 2, creating: 18 })
  await clock.advance(10)
  expect(await burst).toHaveLength(20)
})

test('a queue of a moment opens nothing: those in use are back sooner than another is there', async () => {
  const { pool, clock, lend, leases } = await warm(4)
  // The last of them is to wait for two rounds of leases, 8 ms.
  const queue = lend(8)
  expect(pool.stats()).toMatchObject({ waiting: 8, creating: 0 })
  for (const lease of leases) lease.release()
  await settled()
  expect(pool.stats()).toMatchObject({ waiting: 4, creating: 0 })
  await clock.advance(4)
  expect(pool.stats()).toMatchObject({ currentSize: 4, created: 4 })
  void queue
})

test('of a burst, as many are opened as leave a queue that is served sooner than another is there', async () => {
  const { pool, lend } = await warm(4)
  // Each of four ends in 4 ms, so one in a millisecond: the 10th would wait as long as opening takes.
  void lend(9)
  expect(pool.stats()).toMatchObject({ waiting: 9, creating: 0 })
  void lend(1)
  expect(pool.stats()).toMatchObject({ waiting: 10, creating: 1 })
  void lend(30)
  expect(pool.stats()).toMatchObject({ waiting: 40, creating: 31 })
})

test('when leases last long, one is opened at once', async () => {
  const { pool } = await warm(1_000)
  void pool.acquire()
  expect(pool.stats()).toMatchObject({ waiting: 1, creating: 1 })
})

test('who was expected to be served and was not gets one after as long as opening takes', async () => {
  const { pool, clock } = await warm(4)
  const waiting = pool.acquire()
  await clock.advance(4)
  const later = pool.acquire()
  await clock.advance(5)
  expect(pool.stats()).toMatchObject({ waiting: 2, creating: 0 })
  await clock.advance(1)
  expect(pool.stats()).toMatchObject({ waiting: 2, creating: 1 })
  await clock.advance(4)
  expect(pool.stats()).toMatchObject({ waiting: 2, creating: 2 })
  await clock.advance(6)
  expect((await waiting).resource.id).toBe(5)
  await clock.advance(4)
  expect((await later).resource.id).toBe(6)
})

test('growAfterMs is the longest that anybody waits so', async () => {
  const { pool, clock } = await warm(1, { growAfterMs: 3 })
  void pool.acquire()
  await clock.advance(2)
  expect(pool.stats().creating).toBe(0)
  await clock.advance(1)
  expect(pool.stats().creating).toBe(1)
})

test('with growAfterMs 0 one is opened at once for each who waits', async () => {
  const { pool, lend } = await warm(1, { growAfterMs: 0 })
  void lend(3)
  expect(pool.stats()).toMatchObject({ waiting: 3, creating: 3 })
})

test('who goes away unserved has shown that one more is of use', async () => {
  for (const leaving of ['timeout', 'abort', 'at once']) {
    const { pool, clock } = await warm(4)
    const controller = new AbortController()
    const timeoutMs = { timeout: 5, abort: undefined, 'at once': 0 }[leaving]
    const left = rejection(pool.acquire({ timeoutMs, signal: controller.signal }))
    await clock.advance(5)
    if (leaving === 'abort') controller.abort()
    await left
    expect(pool.stats()).toMatchObject({ waiting: 0, creating: 1 })
  }
})

test('a release that was not expected so soon leaves nothing to open', async () => {
  const { pool, clock, leases } = await warm(4)
  const waiting = pool.acquire()
  await clock.advance(9)
  leases[0]?.release()
  const served = await waiting
  await clock.advance(100)
  expect(pool.stats()).toMatchObject({ currentSize: 4, created: 4, creating: 0 })
  served.release()
})

test('opening is taken to be as quick as it last was, and slower only when it stays slow', async () => {
  const { pool, clock, factory, lend } = setUp({ minSize: 0, growAfterMs: Number.POSITIVE_INFINITY })
  // The first has to wait for something more, such as a login.
  factory.onCreate = () => takes(800)
  const first = lend(1)
  await clock.advance(800)
  factory.onCreate = () => takes(8)
  const second = lend(1)
  await clock.advance(8)
  for (const lease of [...(await first), ...(await second)]) lease.release()
  await lend(2)

  // A lease lasts 7 ms in the mean: of two, one is to end in 3.5.
  factory.onCreate = () => takes(88)
  const third = lend(1)
  await clock.advance(7)
  expect(pool.stats().creating).toBe(0)
  await clock.advance(1)
  expect(pool.stats().creating).toBe(1)
  await clock.advance(88)
  await third

  // 8 and an eighth of the 80 that it took longer.
  void lend(1)
  await clock.advance(17)
  expect(pool.stats().creating).toBe(0)
  await clock.advance(1)
  expect(pool.stats().creating).toBe(1)
})

test('minSize is filled while others wait for a release', async () => {
  const { pool, clock } = await warm(1)
  void pool.acquire()
  expect(pool.stats().creating).toBe(0)
  pool.resize({ minSize: 6 })
  expect(pool.stats().creating).toBe(2)
  await clock.advance(10)
  expect(pool.stats()).toMatchObject({ waiting: 0, inUse: 5, available: 1 })
})

test('a pool that is closed has no timer left of those who waited', async () => {
  const { pool, clock, leases } = await warm(4)
  const waiting = rejection(pool.acquire())
  const closing = pool.close()
  await waiting
  for (const lease of leases) lease.release()
  await closing
  expect(clock.armed).toBe(0)
})
