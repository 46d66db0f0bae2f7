import { expect, test } from 'vitest'
import { Pkcs11PoolError } from '../../src/errors.js'
import { createPool, type PoolOptions } from '../../src/pool/index.js'
import { FakeClock, settled } from '../support/fake-clock.js'
import { FakeFactory } from '../support/fake-factory.js'
import { rejection } from '../support/rejection.js'

function setUp(options: PoolOptions = {}) {
  const clock = new FakeClock()
  const factory = new FakeFactory(clock)
  factory.onCreate = () => 'manual'
  const pool = createPool(factory, { minSize: 0, ...options }, { clock, random: () => 0 })
  return { clock, factory, pool }
}

function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'ok',
    (error: { code: string }) => error.code,
  )
}

test('a creation that fails answers the oldest waiter, with the cause', async () => {
  const { pool, factory } = setUp({ maxSize: 2 })
  const first = pool.acquire()
  const second = pool.acquire()
  factory.creates[1]?.fail(new Error('no route to host'))
  await expect(first).rejects.toMatchObject({
    code: 'CREATE_FAILED',
    category: 'pool',
    message: 'failed to create connection: no route to host',
    cause: factory.creates[1] && expect.objectContaining({ message: 'no route to host' }),
  })
  factory.creates[0]?.succeed()
  expect((await second).resource.id).toBe(1)
  expect(pool.stats()).toMatchObject({ createFailures: 1, creating: 0, waiting: 0 })
})

test('the category of a failure is that of its cause', async () => {
  const { pool, factory } = setUp()
  const waiting = pool.acquire()
  factory.creates[0]?.fail(new Pkcs11PoolError('TOKEN_STALLED', 'all threads hang'))
  await expect(waiting).rejects.toMatchObject({ code: 'CREATE_FAILED', category: 'overload' })
})

test('a factory that throws at once is one that fails', async () => {
  const { pool, factory } = setUp()
  factory.onCreate = () => 'throw'
  await expect(pool.acquire()).rejects.toMatchObject({ code: 'CREATE_FAILED' })
})

test('rejected credentials answer every waiter at once, and the pool does not try again by itself', async () => {
  const { pool, factory, clock } = setUp({ minSize: 1, maxSize: 2 })
  const waiting = [pool.acquire(), pool.acquire(), pool.acquire()].map(codeOf)
  expect(factory.creates).toHaveLength(2)
  factory.creates[0]?.fail(new Pkcs11PoolError('CREDENTIALS_REJECTED', 'the PIN is wrong'))
  expect(await Promise.all(waiting)).toEqual(['CREATE_FAILED', 'CREATE_FAILED', 'CREATE_FAILED'])
  factory.creates[1]?.fail(new Pkcs11PoolError('CREDENTIALS_REJECTED', 'the PIN is wrong'))
  await clock.advance(3_600_000)
  expect(factory.creates).toHaveLength(2)
  pool.reset()
  expect(factory.creates).toHaveLength(3)
})

test('a waiter is not given up for one failure while another creation may still serve it', async () => {
  const { pool, factory } = setUp({ minSize: 2, maxSize: 2 })
  const waiting = pool.acquire()
  expect(factory.creates).toHaveLength(2)
  factory.creates[0]?.fail()
  await settled()
  expect(pool.stats().waiting).toBe(1)
  factory.creates[1]?.succeed()
  expect((await waiting).resource.id).toBe(1)
})

test('after a failure the next waiter gets a creation of its own', async () => {
  const { pool, factory } = setUp({ maxSize: 1 })
  const first = codeOf(pool.acquire())
  const second = pool.acquire()
  factory.creates[0]?.fail()
  expect(await first).toBe('CREATE_FAILED')
  factory.creates[1]?.succeed()
  expect((await second).resource.id).toBe(1)
})

test('a creation that takes too long is told to stop, and its waiter that it took too long', async () => {
  const { pool, factory, clock } = setUp({ createTimeoutMs: 5_000 })
  const waiting = pool.acquire()
  const outcome = rejection(waiting)
  await clock.advance(4_999)
  expect(factory.signals[0]?.aborted).toBe(false)
  await clock.advance(1)
  expect(await outcome).toMatchObject({
    code: 'CREATE_TIMEOUT',
    message: 'failed to create connection: it did not finish within createTimeoutMs 5000; check what it connects to',
  })
  expect(factory.signals[0]?.reason).toMatchObject({ code: 'CREATE_TIMEOUT' })
  expect(pool.stats()).toMatchObject({ creating: 0, orphaned: 1, createFailures: 1 })
})

test('what a creation delivers too late is destroyed at once', async () => {
  const { pool, factory, clock } = setUp({ createTimeoutMs: 5_000 })
  const waiting = codeOf(pool.acquire())
  await clock.advance(5_000)
  expect(await waiting).toBe('CREATE_TIMEOUT')
  factory.creates[0]?.succeed()
  await settled()
  expect(factory.endings).toEqual(['late'])
  expect(pool.stats()).toMatchObject({ currentSize: 0, created: 1, destroyed: 1, orphaned: 0 })
})

test('a creation that ignores its abort holds its place for createTimeoutMs once more, then no longer', async () => {
  const { pool, factory, clock } = setUp({ maxSize: 1, createTimeoutMs: 5_000, acquireTimeoutMs: 60_000 })
  const first = codeOf(pool.acquire())
  const second = pool.acquire()
  await clock.advance(5_000)
  expect(await first).toBe('CREATE_TIMEOUT')
  expect(factory.creates).toHaveLength(1)
  await clock.advance(4_999)
  expect(factory.creates).toHaveLength(1)
  await clock.advance(1)
  expect(factory.creates).toHaveLength(2)
  expect(pool.stats()).toMatchObject({ creating: 1, orphaned: 0, stalled: 1 })
  factory.creates[1]?.succeed()
  expect((await second).resource.id).toBe(1)
  factory.creates[0]?.succeed()
  await settled()
  expect(factory.endings).toEqual([undefined, 'late'])
  expect(pool.stats().stalled).toBe(0)
})

test('a creation that there is no more for leaves its waiter to wait for a release, and the pool at what it has', async () => {
  const { pool, factory } = setUp({ maxSize: 8 })
  const waiting = Array.from({ length: 8 }, () => pool.acquire())
  expect(factory.creates).toHaveLength(8)
  for (const call of factory.creates.slice(3)) call.fail(factory.noMore)
  await settled()
  expect(pool.stats()).toMatchObject({ creating: 3, waiting: 8, effectiveMaxSize: 3, createFailures: 5 })
  for (const call of factory.creates.slice(0, 3)) call.succeed()
  for (const acquired of waiting) (await acquired).release()
  expect(pool.stats()).toMatchObject({ currentSize: 3, available: 3, created: 3, effectiveMaxSize: 3 })
  pool.limitTo(Number.POSITIVE_INFINITY)
  expect(pool.stats().effectiveMaxSize).toBe(8)
})

test('a refusal of what was beyond a lower limit already does not lower it', async () => {
  const { pool, factory } = setUp({ maxSize: 8 })
  const waiting = Array.from({ length: 8 }, () => pool.acquire())
  pool.limitTo(3)
  for (const call of factory.creates.slice(3)) call.fail(factory.noMore)
  await settled()
  expect(pool.stats()).toMatchObject({ creating: 3, effectiveMaxSize: 3 })
  for (const call of factory.creates.slice(0, 3)) call.succeed()
  for (const acquired of waiting) (await acquired).release()
  expect(pool.stats()).toMatchObject({ currentSize: 3, effectiveMaxSize: 3 })
})

test('where there is nothing at all, everybody is told', async () => {
  const { pool, factory } = setUp({ maxSize: 2 })
  const waiting = [pool.acquire(), pool.acquire(), pool.acquire()].map(codeOf)
  for (let at = 0; at < factory.creates.length; at++) {
    factory.creates[at]?.fail(factory.noMore)
    await settled()
  }
  expect(await Promise.all(waiting)).toEqual(['CREATE_FAILED', 'CREATE_FAILED', 'CREATE_FAILED'])
  expect(pool.stats()).toMatchObject({ effectiveMaxSize: 1, creating: 0 })
})

test('filling up to minSize is tried again after a failure, later each time', async () => {
  const { pool, factory, clock } = setUp({ minSize: 1 })
  factory.onCreate = () => 'error'
  const attempts: number[] = []
  pool.on('createFailed', ({ attempt }) => attempts.push(attempt))
  factory.creates[0]?.fail()
  await settled()
  expect(factory.signals).toHaveLength(1)
  await clock.advance(99)
  expect(factory.signals).toHaveLength(1)
  await clock.advance(1)
  expect(factory.signals).toHaveLength(2)
  await clock.advance(199)
  expect(factory.signals).toHaveLength(2)
  await clock.advance(1)
  expect(factory.signals).toHaveLength(3)
  await clock.advance(600_000)
  expect(factory.signals.length).toBeLessThan(30)
  factory.onCreate = () => 'ok'
  await clock.advance(30_000)
  expect(pool.stats()).toMatchObject({ currentSize: 1, available: 1 })
  expect(attempts).toEqual(attempts.map((_, index) => index + 1))
})

test('a waiter does not wait for the pause after a failure', async () => {
  const { pool, factory } = setUp({ minSize: 1 })
  factory.creates[0]?.fail()
  await settled()
  const waiting = pool.acquire()
  expect(factory.creates).toHaveLength(2)
  factory.creates[1]?.succeed()
  expect((await waiting).resource.id).toBe(1)
})

test('a destroy that has not ended holds its place, and not for ever', async () => {
  const { pool, factory, clock } = setUp({ maxSize: 1, createTimeoutMs: 5_000 })
  factory.onCreate = () => 'ok'
  factory.onDestroy = () => 'manual'
  const failures: unknown[] = []
  pool.on('destroyFailed', ({ error }) => failures.push(error))
  ;(await pool.acquire()).destroy()
  expect(pool.stats()).toMatchObject({ currentSize: 0, destroying: 1 })
  const second = pool.acquire()
  expect(factory.signals).toHaveLength(1)
  factory.destroys[0]?.succeed()
  ;(await second).destroy()
  const third = pool.acquire()
  await clock.advance(4_999)
  expect(factory.signals).toHaveLength(2)
  await clock.advance(1)
  expect((await third).resource.id).toBe(3)
  expect(failures).toMatchObject([{ code: 'OPERATION_TIMEOUT' }])
  expect(pool.stats()).toMatchObject({ destroying: 0, stalled: 1, destroyFailures: 1 })
  factory.destroys[1]?.succeed()
  await settled()
  expect(pool.stats()).toMatchObject({ stalled: 0, inUse: 1 })
})

test.each(['throw', 'error'] as const)('a destroy that fails (%s) is reported and frees its place', async (ending) => {
  const { pool, factory } = setUp({ maxSize: 1 })
  factory.onCreate = () => 'ok'
  factory.onDestroy = () => ending
  const reports: unknown[] = []
  pool.on('destroyFailed', (report) => reports.push(report))
  ;(await pool.acquire()).destroy()
  expect((await pool.acquire()).resource.id).toBe(2)
  expect(reports).toEqual([{ error: factory.error, reason: 'discarded' }])
})
