import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { createPool, type Lease, type PoolOptions } from '../../src/pool/index.js'
import { FakeClock, settled } from '../support/fake-clock.js'
import { FakeFactory, type FakeResource } from '../support/fake-factory.js'
import { rejection } from '../support/rejection.js'

function setUp(options: PoolOptions = {}) {
  const clock = new FakeClock()
  const factory = new FakeFactory(clock)
  const pool = createPool(factory, options, { clock, random: () => 0.5 })
  return { clock, factory, pool }
}

/** Acquires, and notes in `order` when it was served. */
function acquireNoting(
  pool: ReturnType<typeof setUp>['pool'],
  order: string[],
  name: string,
): Promise<Lease<FakeResource>> {
  const acquired = pool.acquire()
  acquired.then(
    () => order.push(name),
    () => order.push(`${name} failed`),
  )
  return acquired
}

test('the pool opens minSize resources by itself, and more only on demand', async () => {
  const { pool, factory } = setUp({ minSize: 2, maxSize: 4 })
  await settled()
  expect(pool.stats()).toMatchObject({ currentSize: 2, available: 2, inUse: 0 })
  const leases = await Promise.all([pool.acquire(), pool.acquire(), pool.acquire()])
  expect(pool.stats()).toMatchObject({ currentSize: 3, available: 0, inUse: 3, acquired: 3 })
  for (const lease of leases) lease.release()
  expect(factory.live).toHaveLength(3)
})

test('a released resource is the next to be used: last in, first out', async () => {
  const { pool } = setUp({ minSize: 0, maxSize: 2 })
  const first = await pool.acquire()
  const second = await pool.acquire()
  const { resource } = first
  second.release()
  first.release()
  expect((await pool.acquire()).resource).toBe(resource)
})

test('waiters are served in the order they came, directly by each release', async () => {
  const { pool } = setUp({ maxSize: 1 })
  const order: string[] = []
  const held = await pool.acquire()
  const a = acquireNoting(pool, order, 'a')
  const b = acquireNoting(pool, order, 'b')
  held.release()
  expect(pool.stats()).toMatchObject({ inUse: 1, available: 0, waiting: 1 })
  const leaseA = await a
  expect(order).toEqual(['a'])
  leaseA.release()
  await b
  expect(order).toEqual(['a', 'b'])
})

test('who comes after a waiter does not overtake it, neither waiting nor trying', async () => {
  const { pool, factory, clock } = setUp({ maxSize: 1, validateIfIdleMs: 500 })
  factory.onValidate = () => 'manual'
  ;(await pool.acquire()).release()
  await clock.advance(500)
  const first = pool.acquire()
  expect(pool.stats()).toMatchObject({ validating: 1, waiting: 1 })
  expect(pool.tryAcquireEntry()).toBeUndefined()
  factory.validates[0]?.succeed()
  expect((await first).resource.id).toBe(1)
})

test('no more creations are started than there are waiters', async () => {
  const { pool, factory } = setUp({ minSize: 0, maxSize: 10 })
  factory.onCreate = () => 'manual'
  const acquired = [pool.acquire(), pool.acquire()]
  expect(factory.creates).toHaveLength(2)
  factory.creates[0]?.succeed()
  const lease = await Promise.race(acquired)
  lease.release()
  await Promise.all(acquired)
  expect(factory.creates).toHaveLength(2)
})

test('an abort ends the waiting with the reason of the signal and leaves no listener', async () => {
  const { pool } = setUp({ maxSize: 1 })
  const held = await pool.acquire()
  const controller = new AbortController()
  const { signal } = controller
  const listeners = () => getEventListeners(signal, 'abort').length
  const served = pool.acquire({ signal })
  const aborted = pool.acquire({ signal })
  expect(listeners()).toBe(1)
  held.release()
  const lease = await served
  expect(listeners()).toBe(1)
  controller.abort(new Error('changed my mind'))
  await expect(aborted).rejects.toThrow('changed my mind')
  expect(listeners()).toBe(0)
  expect(pool.stats()).toMatchObject({ waiting: 0, inUse: 1 })
  expect(lease.resource.id).toBe(1)
})

test('with a signal that has aborted nothing is touched', async () => {
  const { pool, factory } = setUp({ minSize: 0 })
  await expect(pool.acquire({ signal: AbortSignal.abort(new Error('too late')) })).rejects.toThrow('too late')
  expect(factory.signals).toHaveLength(0)
  expect(pool.stats()).toMatchObject({ acquired: 0, waiting: 0 })
})

test('cancelling an acquire does not cancel the creation it caused: the next has use for it', async () => {
  const { pool, factory } = setUp({ minSize: 0 })
  factory.onCreate = () => 'manual'
  const controller = new AbortController()
  const acquired = pool.acquire({ signal: controller.signal })
  controller.abort()
  await expect(acquired).rejects.toThrow('aborted')
  expect(factory.signals[0]?.aborted).toBe(false)
  factory.creates[0]?.succeed()
  await settled()
  expect(pool.stats()).toMatchObject({ available: 1, currentSize: 1 })
})

test('an acquire that waits too long says in what state the pool is', async () => {
  const { pool, clock } = setUp({ maxSize: 2, acquireTimeoutMs: 10_000 })
  await Promise.all([pool.acquire(), pool.acquire()])
  const late = pool.acquire()
  const later = pool.acquire({ timeoutMs: 20_000 })
  const outcome = rejection(late)
  await clock.advance(9_999)
  expect(pool.stats()).toMatchObject({ waiting: 2, acquireTimeouts: 0 })
  await clock.advance(1)
  expect(await outcome).toMatchObject({
    code: 'ACQUIRE_TIMEOUT',
    message:
      'timeout waiting for available connection after 10000 ms: maxSize 2, currentSize 2, available 0, inUse 2, waiting 2',
  })
  expect(pool.stats()).toMatchObject({ waiting: 1, acquireTimeouts: 1 })
  const outcomeLater = rejection(later)
  await clock.advance(10_000)
  expect(await outcomeLater).toMatchObject({ message: expect.stringContaining('after 20000 ms') })
})

test('a shorter timeout of a later waiter fires first', async () => {
  const { pool, clock } = setUp({ maxSize: 1 })
  const order: string[] = []
  await pool.acquire()
  pool.acquire({ timeoutMs: 500 }).catch(() => order.push('long'))
  pool.acquire({ timeoutMs: 100 }).catch(() => order.push('short'))
  pool.acquire({ timeoutMs: Number.POSITIVE_INFINITY }).catch(() => order.push('never'))
  await clock.advance(100)
  expect(order).toEqual(['short'])
  await clock.advance(1_000_000)
  expect(order).toEqual(['short', 'long'])
  expect(pool.stats().waiting).toBe(1)
})

test('many waiters with one timeout need one timer', async () => {
  const { pool, clock } = setUp({ minSize: 1, maxSize: 1 })
  await settled()
  await pool.acquire()
  const armed = clock.armed
  const waiting = Array.from({ length: 100 }, () => pool.acquire().catch((error: { code: string }) => error.code))
  expect(clock.armed).toBe(armed + 1)
  await clock.advance(10_000)
  expect(new Set(await Promise.all(waiting))).toEqual(new Set(['ACQUIRE_TIMEOUT']))
})

test('a timeout of 0 takes what is idle and waits for nothing else', async () => {
  const { pool } = setUp({ minSize: 1, maxSize: 1 })
  await settled()
  const lease = await pool.acquire({ timeoutMs: 0 })
  await expect(pool.acquire({ timeoutMs: 0 })).rejects.toMatchObject({ code: 'ACQUIRE_TIMEOUT' })
  lease.release()
  expect((await pool.acquire({ timeoutMs: 0 })).resource.id).toBe(1)
})

test('a timeout of 0 still lets the pool grow for who tries again', async () => {
  const { pool } = setUp({ minSize: 0 })
  await expect(pool.acquire({ timeoutMs: 0 })).rejects.toMatchObject({ code: 'ACQUIRE_TIMEOUT' })
  await settled()
  expect((await pool.acquire({ timeoutMs: 0 })).resource.id).toBe(1)
})

test('a timeout of 0 waits for the validation of what is idle, and for no creation when that fails', async () => {
  const { pool, factory, clock } = setUp({ minSize: 2, maxSize: 2 })
  factory.onValidate = () => 'manual'
  await clock.advance(500)
  const good = pool.acquire({ timeoutMs: 0 })
  const bad = pool.acquire({ timeoutMs: 0 })
  const none = pool.acquire({ timeoutMs: 0 })
  await expect(none).rejects.toMatchObject({ code: 'ACQUIRE_TIMEOUT' })
  factory.validates[0]?.succeed()
  expect((await good).resource.id).toBe(2)
  factory.validates[1]?.fail()
  await expect(bad).rejects.toMatchObject({ code: 'ACQUIRE_TIMEOUT' })
})

test('beyond maxWaiters nobody may wait', async () => {
  const { pool } = setUp({ maxSize: 1, maxWaiters: 2 })
  await pool.acquire()
  const waiting = [pool.acquire(), pool.acquire()]
  await expect(pool.acquire()).rejects.toMatchObject({
    code: 'QUEUE_FULL',
    message:
      '2 callers wait for a connection already, as many as maxWaiters allows; shed load, or raise maxSize or maxWaiters',
  })
  const rejected = Promise.allSettled(waiting)
  await pool.close({ timeoutMs: 0 })
  await rejected
})

test('an acquire with a misspelled or impossible option is refused, and nothing waits', async () => {
  const { pool } = setUp()
  await expect(pool.acquire({ timeout: 5 } as never)).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
    message: 'unknown option "timeout"; did you mean "timeoutMs"?',
  })
  await expect(pool.acquire({ timeoutMs: -5 })).rejects.toThrow('timeoutMs is -5; expected a whole number from 0')
  await expect(pool.acquire({ signal: 'stop' } as never)).rejects.toThrow('signal is the string "stop"')
  expect(pool.stats().waiting).toBe(0)
})

test('tryAcquireEntry takes a fresh idle resource, and nothing that would have to wait', async () => {
  const { pool, clock, factory } = setUp({ minSize: 1, maxSize: 1, validateIfIdleMs: 500 })
  expect(pool.tryAcquireEntry()).toBeUndefined()
  await settled()
  const entry = pool.tryAcquireEntry()
  expect(entry?.resource.id).toBe(1)
  expect(pool.tryAcquireEntry()).toBeUndefined()
  if (entry === undefined) throw new Error('no entry')
  pool.releaseEntry(entry)
  await clock.advance(500)
  expect(pool.tryAcquireEntry()).toBeUndefined()
  expect(factory.validations).toBe(0)
})

test('of many who wait, those whose time is up are told in the order they came, and the others wait on', async () => {
  const { pool, clock } = setUp({ minSize: 0, maxSize: 1, maxWaiters: 3_000 })
  const held = await pool.acquire()
  const order: number[] = []
  for (let i = 0; i < 3_000; i++) {
    // Each third is more patient, and one of those in between has a signal.
    const timeoutMs = i % 3 === 0 ? 10_000 : 1_000
    const options = { timeoutMs, signal: i % 3 === 1 ? new AbortController().signal : undefined }
    pool.acquire(options).then(
      (lease) => lease.release(),
      () => order.push(i),
    )
    if (i % 100 === 99) await clock.advance(1)
  }
  await expect(pool.acquire()).rejects.toMatchObject({ code: 'QUEUE_FULL' })
  await clock.advance(970)
  expect(order).toEqual([...Array(100).keys()].filter((i) => i % 3 !== 0))
  await clock.advance(29)
  expect(order).toEqual([...Array(3_000).keys()].filter((i) => i % 3 !== 0))
  expect(pool.stats()).toMatchObject({ waiting: 1_000, acquireTimeouts: 2_000 })
  held.release()
  await settled()
  expect(pool.stats()).toMatchObject({ waiting: 0, inUse: 0, acquired: 1_001 })
  expect(order).toHaveLength(2_000)
})
