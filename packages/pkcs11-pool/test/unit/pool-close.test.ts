import { expect, test } from 'vitest'
import { createPool, type PoolOptions } from '../../src/pool/index.js'
import { FakeClock, settled } from '../support/fake-clock.js'
import { FakeFactory } from '../support/fake-factory.js'
import { rejection } from '../support/rejection.js'

function setUp(options: PoolOptions = {}) {
  const clock = new FakeClock()
  const factory = new FakeFactory(clock)
  const pool = createPool(factory, { minSize: 0, maxSize: 2, ...options }, { clock })
  return { clock, factory, pool }
}

test('close destroys what is idle and leaves nothing behind, no timer either', async () => {
  const { pool, factory, clock } = setUp({ minSize: 2 })
  await settled()
  expect(await pool.close()).toEqual({ abandoned: 0 })
  expect(factory.endings).toEqual(['closed', 'closed'])
  expect(pool.stats()).toMatchObject({ state: 'closed', currentSize: 0 })
  expect(clock.armed).toBe(0)
})

test('close rejects those who wait at once, and those who come', async () => {
  const { pool } = setUp({ maxSize: 1 })
  const lease = await pool.acquire()
  const waiting = pool.acquire()
  const closed = pool.close()
  await expect(waiting).rejects.toMatchObject({
    code: 'POOL_CLOSED',
    message: 'the pool was closed while this waited; a closed pool cannot be used again',
  })
  await expect(pool.acquire()).rejects.toMatchObject({ code: 'POOL_CLOSED' })
  expect(pool.tryAcquireEntry()).toBeUndefined()
  lease.release()
  expect(await closed).toEqual({ abandoned: 0 })
})

test('close waits for the leases, and destroys them as they come back', async () => {
  const { pool, factory } = setUp()
  const leases = await Promise.all([pool.acquire(), pool.acquire()])
  let closed = false
  const closing = pool.close().then((result) => {
    closed = true
    return result
  })
  leases[0].release()
  await settled()
  expect([closed, factory.endings]).toEqual([false, ['closed', undefined]])
  leases[1].release()
  expect(await closing).toEqual({ abandoned: 0 })
})

test('close gives up after its timeout, says what it abandoned, and destroys even that when it comes back', async () => {
  const { pool, factory, clock } = setUp({ maxSize: 3 })
  const [kept, hanging] = await Promise.all([pool.acquire(), pool.acquire()])
  factory.onDestroy = () => 'manual'
  factory.onCreate = () => 'manual'
  hanging.destroy()
  pool.acquire().catch(() => {})
  expect(pool.stats()).toMatchObject({ inUse: 1, destroying: 1, creating: 1 })
  const closing = pool.close({ timeoutMs: 2_000 })
  await clock.advance(2_000)
  expect(await closing).toEqual({ abandoned: 3 })
  kept.release()
  factory.creates[0]?.succeed()
  await settled()
  expect(factory.endings).toEqual(['closed', 'discarded', 'closed'])
  for (const destroy of factory.destroys) destroy.succeed()
  await clock.advance(60_000)
  expect(factory.live).toHaveLength(0)
  expect(clock.armed).toBe(0)
})

test('close with a timeout of 0 waits for nothing', async () => {
  const { pool } = setUp()
  await pool.acquire()
  expect(await pool.close({ timeoutMs: 0 })).toEqual({ abandoned: 1 })
})

test('closing again answers the same', async () => {
  const { pool } = setUp()
  await pool.acquire()
  const first = pool.close({ timeoutMs: 0 })
  const second = pool.close({ timeoutMs: 60_000 })
  expect(await second).toEqual(await first)
  expect(await pool.close()).toEqual({ abandoned: 1 })
  await pool[Symbol.asyncDispose]()
})

test('close tells a creation under way to stop, and destroys what it delivers all the same', async () => {
  const { pool, factory } = setUp()
  factory.onCreate = () => 'manual'
  const waiting = pool.acquire()
  const outcome = rejection(waiting)
  const closing = pool.close()
  expect(await outcome).toMatchObject({ code: 'POOL_CLOSED' })
  expect(factory.signals[0]?.reason).toMatchObject({ code: 'POOL_CLOSED' })
  factory.creates[0]?.succeed()
  expect(await closing).toEqual({ abandoned: 0 })
  expect(factory.endings).toEqual(['closed'])
})

test('a resource that is being validated when the pool closes is destroyed', async () => {
  const { pool, factory, clock } = setUp({ minSize: 1 })
  await clock.advance(500)
  factory.onValidate = () => 'manual'
  const waiting = pool.acquire()
  const outcome = rejection(waiting)
  const closing = pool.close()
  expect(await outcome).toMatchObject({ code: 'POOL_CLOSED' })
  factory.validates[0]?.succeed()
  expect(await closing).toEqual({ abandoned: 0 })
  expect(factory.endings).toEqual(['closed'])
})

test('a close with an impossible timeout is refused and closes nothing', async () => {
  const { pool } = setUp()
  await expect(pool.close({ timeoutMs: Number.POSITIVE_INFINITY })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  expect((await pool.acquire()).resource.id).toBe(1)
})

test('after close the other verbs do no harm', async () => {
  const { pool, factory, clock } = setUp({ minSize: 1 })
  await pool.close()
  pool.reset()
  pool.resize({ minSize: 2, maxSize: 5 })
  pool.limitTo(1)
  await clock.advance(3_600_000)
  expect(factory.live).toHaveLength(0)
  expect(pool.stats()).toMatchObject({ currentSize: 0, creating: 0 })
})
