import { expect, test } from 'vitest'
import { createPool, type PoolOptions } from '../../src/pool/index.js'
import { FakeClock, settled } from '../support/fake-clock.js'
import { FakeFactory } from '../support/fake-factory.js'

async function setUp(options: PoolOptions = {}, validates = true) {
  const clock = new FakeClock()
  const factory = new FakeFactory(clock, { validates })
  const pool = createPool(factory, { minSize: 3, maxSize: 3, ...options }, { clock })
  await settled()
  return { clock, factory, pool }
}

test('what was not known to be good for so long is validated, what was is not', async () => {
  const { pool, factory, clock } = await setUp()
  await clock.advance(1_000)
  ;(await pool.acquire()).release()
  factory.validations = 0
  await clock.advance(999)
  pool.probeIdle(1_000)
  expect(factory.validations).toBe(2)
  pool.probeIdle(1_000)
  expect(factory.validations).toBe(2)
})

test('being looked at is no use: nothing is acquired, the idle time runs on, and what was used last is used next', async () => {
  const { pool, factory, clock } = await setUp({ minSize: 0, idleTimeoutMs: 10_000 })
  factory.onValidate = () => 'ok'
  const leases = [await pool.acquire(), await pool.acquire(), await pool.acquire()]
  const last = leases[2]?.resource
  for (const lease of leases) lease.release()
  const { acquired } = pool.stats()
  for (let second = 0; second < 9; second += 1) {
    await clock.advance(1_000)
    pool.probeIdle(1_000)
    await settled()
  }
  expect(factory.validations).toBe(27)
  expect(pool.stats()).toMatchObject({ acquired, available: 3, inUse: 0 })
  expect((await pool.acquire()).resource).toBe(last)
  await clock.advance(6_000)
  expect(pool.stats()).toMatchObject({ available: 0, inUse: 1 })
})

test('what is not good any more is destroyed and replaced', async () => {
  const { pool, factory, clock } = await setUp()
  factory.onValidate = ({ id }) => id !== 2
  await clock.advance(1_000)
  pool.probeIdle(1_000)
  await settled()
  expect(pool.stats()).toMatchObject({ currentSize: 3, destroyed: 1, created: 4, validateFailures: 1 })
})

test('who comes meanwhile gets one as soon as it is known to be good', async () => {
  const { pool, factory, clock } = await setUp()
  factory.onValidate = () => 'manual'
  await clock.advance(1_000)
  pool.probeIdle(1_000)
  const waiting = pool.acquire()
  await settled()
  factory.validates[1]?.succeed()
  expect((await waiting).resource.id).toBe(factory.validates[1]?.resource?.id)
  expect(pool.stats()).toMatchObject({ created: 3, waiting: 0 })
})

test('nothing is looked at where nothing can be validated, or the pool is closed', async () => {
  const blind = await setUp({}, false)
  await blind.clock.advance(1_000)
  blind.pool.probeIdle(0)
  expect(blind.pool.stats()).toMatchObject({ available: 3, inUse: 0 })
  const closed = await setUp()
  await closed.pool.close()
  closed.pool.probeIdle(0)
  expect(closed.factory.validations).toBe(0)
})
