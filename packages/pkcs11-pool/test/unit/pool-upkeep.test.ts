import { expect, test } from 'vitest'
import { createPool, type PoolOptions } from '../../src/pool/index.js'
import { FakeClock, settled } from '../support/fake-clock.js'
import { FakeFactory } from '../support/fake-factory.js'
import { rejection } from '../support/rejection.js'

function setUp(options: PoolOptions = {}, random = () => 0) {
  const clock = new FakeClock()
  const factory = new FakeFactory(clock, { validates: false })
  const pool = createPool(factory, { minSize: 1, maxSize: 4, ...options }, { clock, random })
  return { clock, factory, pool }
}

async function grow(pool: ReturnType<typeof setUp>['pool'], count: number): Promise<void> {
  const leases = await Promise.all(Array.from({ length: count }, () => pool.acquire()))
  for (const lease of leases) lease.release()
}

test('what lies idle too long is destroyed, down to minSize', async () => {
  const { pool, clock, factory } = setUp({ idleTimeoutMs: 60_000, maxLifetimeMs: Number.POSITIVE_INFINITY })
  await grow(pool, 4)
  await clock.advance(59_999)
  expect(pool.stats().currentSize).toBe(4)
  await clock.advance(30_001)
  expect(pool.stats()).toMatchObject({ currentSize: 1, available: 1 })
  expect(factory.endings.filter((ending) => ending === 'idle')).toHaveLength(3)
})

test('what is used now and then is not idle', async () => {
  const { pool, clock, factory } = setUp({ minSize: 0, idleTimeoutMs: 60_000, maxLifetimeMs: Number.POSITIVE_INFINITY })
  for (let i = 0; i < 10; i++) {
    await grow(pool, 1)
    await clock.advance(40_000)
  }
  expect(factory.endings).toEqual([undefined])
})

test('with idleTimeoutMs 0 nothing beyond minSize is kept', async () => {
  const { pool } = setUp({ idleTimeoutMs: 0 })
  await grow(pool, 3)
  expect(pool.stats()).toMatchObject({ currentSize: 1, available: 1 })
})

test('an idle resource whose lifetime has ended is destroyed and replaced up to minSize', async () => {
  const { pool, clock, factory } = setUp({
    minSize: 2,
    maxLifetimeMs: 100_000,
    idleTimeoutMs: Number.POSITIVE_INFINITY,
  })
  await settled()
  await clock.advance(97_499)
  expect(factory.endings).toEqual([undefined, undefined])
  await clock.advance(2_501)
  expect(factory.endings.slice(0, 2)).toEqual(['lifetime', 'lifetime'])
  expect(pool.stats()).toMatchObject({ currentSize: 2, available: 2 })
})

test('a lifetime ends 2.5 to 10 % early, by chance', async () => {
  for (const [random, endsAt] of [
    [0, 97_500],
    [1, 90_000],
  ] as const) {
    const { pool, clock } = setUp({ maxSize: 1, maxLifetimeMs: 100_000 }, () => random)
    await settled()
    await clock.advance(endsAt - 1)
    const lease = await pool.acquire()
    expect(lease.resource.id).toBe(1)
    lease.release()
    await clock.advance(1)
    expect((await pool.acquire()).resource.id).toBe(2)
  }
})

test('a leased resource outlives its lifetime, and is destroyed when it comes back', async () => {
  const { pool, clock, factory } = setUp({ maxSize: 1, maxLifetimeMs: 100_000 })
  const lease = await pool.acquire()
  await clock.advance(200_000)
  expect(factory.live).toHaveLength(1)
  const waiting = pool.acquire()
  lease.release()
  expect((await waiting).resource.id).toBe(2)
  expect(factory.endings).toEqual(['lifetime', undefined])
})

test('with maxLifetimeMs 0 each resource serves one lease', async () => {
  const { pool, factory } = setUp({ minSize: 0, maxSize: 1, maxLifetimeMs: 0 })
  const lease = await pool.acquire()
  const waiting = pool.acquire()
  lease.release()
  expect((await waiting).resource.id).toBe(2)
  expect(factory.endings).toEqual(['lifetime', undefined])
})

test('after the process was stopped nothing is taken to have been idle meanwhile', async () => {
  const { pool, clock, factory } = setUp({ idleTimeoutMs: 60_000, maxLifetimeMs: Number.POSITIVE_INFINITY })
  await grow(pool, 3)
  await clock.jump(3_600_000)
  expect(factory.endings).toEqual([undefined, undefined, undefined])
  await clock.advance(90_000)
  expect(pool.stats().currentSize).toBe(1)
})

test('reset replaces everything: the idle now, the leased on return, the coming on arrival', async () => {
  const { pool, factory } = setUp({ minSize: 0, maxSize: 3 })
  const [lease, idle] = await Promise.all([pool.acquire(), pool.acquire()])
  idle.release()
  const second = await pool.acquire()
  factory.onCreate = () => 'manual'
  const waiting = pool.acquire()
  second.release()
  await waiting.then((served) => served.release())
  expect(pool.stats()).toMatchObject({ available: 1, inUse: 1, creating: 1 })
  pool.reset()
  expect(factory.endings).toEqual([undefined, 'reset'])
  expect(pool.stats()).toMatchObject({ currentSize: 1, creating: 0, orphaned: 1 })
  factory.creates[0]?.succeed()
  await settled()
  expect(factory.endings).toEqual([undefined, 'reset', 'reset'])
  lease.release()
  expect(factory.endings).toEqual(['reset', 'reset', 'reset'])
  expect(pool.stats()).toMatchObject({ currentSize: 0, orphaned: 0 })
})

test('a waiter whose creation a reset made worthless gets another', async () => {
  const { pool, factory } = setUp({ minSize: 0, maxSize: 2 })
  factory.onCreate = () => 'manual'
  const waiting = pool.acquire()
  pool.reset()
  expect(factory.creates).toHaveLength(2)
  factory.creates[0]?.fail()
  factory.creates[1]?.succeed()
  expect((await waiting).resource.id).toBe(1)
})

test('a smaller maxSize takes effect on the idle at once and on the leased when they come back', async () => {
  const { pool, factory } = setUp({ minSize: 2, maxSize: 4 })
  const leases = await Promise.all([pool.acquire(), pool.acquire(), pool.acquire(), pool.acquire()])
  leases[0].release()
  leases[1].release()
  pool.resize({ maxSize: 1 })
  expect(pool.stats()).toMatchObject({ maxSize: 1, minSize: 1, available: 0, inUse: 2 })
  leases[2].release()
  leases[3].release()
  expect(pool.stats()).toMatchObject({ currentSize: 1, available: 1 })
  expect(factory.endings.filter((ending) => ending === 'resize')).toHaveLength(3)
})

test('a larger maxSize serves those who wait, a larger minSize fills up', async () => {
  const { pool } = setUp({ minSize: 0, maxSize: 1 })
  await pool.acquire()
  const waiting = pool.acquire()
  pool.resize({ maxSize: 5 })
  expect((await waiting).resource.id).toBe(2)
  pool.resize({ minSize: 4 })
  await settled()
  expect(pool.stats()).toMatchObject({ minSize: 4, maxSize: 5, currentSize: 4 })
})

test('sizes that contradict each other are refused and change nothing', () => {
  const { pool } = setUp({ minSize: 1, maxSize: 4 })
  expect(() => pool.resize({ minSize: 5 })).toThrow('minSize is 5, more than maxSize 4')
  expect(() => pool.resize({ maxSize: 0 })).toThrow('maxSize is 0')
  expect(() => pool.resize({ maxsize: 3 } as never)).toThrow('did you mean "maxSize"?')
  expect(pool.stats()).toMatchObject({ minSize: 1, maxSize: 4 })
})

test('a limit holds the pool below maxSize until resize lifts it', async () => {
  const { pool, clock } = setUp({ minSize: 0, maxSize: 4 })
  await Promise.all([pool.acquire(), pool.acquire()])
  pool.limitTo(2)
  const waiting = pool.acquire({ timeoutMs: 100 })
  const outcome = rejection(waiting)
  await clock.advance(100)
  expect(await outcome).toMatchObject({ message: expect.stringContaining('maxSize 4, limited to 2, currentSize 2') })
  expect(pool.stats()).toMatchObject({ maxSize: 4, effectiveMaxSize: 2 })
  pool.resize({})
  expect((await pool.acquire()).resource.id).toBe(3)
  expect(pool.stats().effectiveMaxSize).toBe(4)
})

test('a limit of 0 leaves one, and Infinity lifts it', async () => {
  const { pool } = setUp({ minSize: 0 })
  pool.limitTo(0)
  expect(pool.stats().effectiveMaxSize).toBe(1)
  expect((await pool.acquire()).resource.id).toBe(1)
  pool.limitTo(Number.POSITIVE_INFINITY)
  expect(pool.stats().effectiveMaxSize).toBe(4)
  expect(() => pool.limitTo(-1)).toThrow('count is -1; expected a whole number from 0')
})

test('when the factory lowers the limit because there is no more to be had, its waiter waits for a release', async () => {
  const { pool, factory } = setUp({ minSize: 0, maxSize: 4 })
  const lease = await pool.acquire()
  factory.onCreate = () => 'error'
  factory.beforeCreate = () => pool.limitTo(pool.stats().currentSize)
  const waiting = pool.acquire()
  await settled()
  expect(pool.stats()).toMatchObject({ createFailures: 1, waiting: 1, effectiveMaxSize: 1 })
  lease.release()
  expect((await waiting).resource.id).toBe(1)
})
