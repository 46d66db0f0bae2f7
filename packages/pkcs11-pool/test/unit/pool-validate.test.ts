import { expect, test } from 'vitest'
import { createPool, type PoolOptions } from '../../src/pool/index.js'
import { FakeClock, settled } from '../support/fake-clock.js'
import { FakeFactory } from '../support/fake-factory.js'
import { rejection } from '../support/rejection.js'

async function setUp(options: PoolOptions = {}) {
  const clock = new FakeClock()
  const factory = new FakeFactory(clock)
  const pool = createPool(factory, { minSize: 2, maxSize: 2, ...options }, { clock })
  const ended: unknown[] = []
  pool.on('destroyed', ({ reason, error }) => ended.push([reason, error]))
  await settled()
  return { clock, factory, pool, ended }
}

test('what was used a moment ago is not validated, what lay idle is', async () => {
  const { pool, factory, clock } = await setUp()
  ;(await pool.acquire()).release()
  await clock.advance(499)
  ;(await pool.acquire()).release()
  expect(factory.validations).toBe(0)
  await clock.advance(500)
  ;(await pool.acquire()).release()
  expect(factory.validations).toBe(1)
})

test('with validateIfIdleMs 0 every use is preceded by one validation, but not that of a new resource', async () => {
  const { pool, factory } = await setUp({ validateIfIdleMs: 0, minSize: 0, maxSize: 1 })
  const lease = await pool.acquire()
  expect(factory.validations).toBe(0)
  const next = pool.acquire()
  lease.release()
  ;(await next).release()
  expect(factory.validations).toBe(1)
})

test('without a validate function every idle resource is taken to be good', async () => {
  const clock = new FakeClock()
  const pool = createPool(new FakeFactory(clock, { validates: false }), {}, { clock })
  await clock.advance(60_000)
  expect(pool.tryAcquireEntry()).toBeDefined()
})

test.each([
  ['says no', false],
  ['throws', 'throw'],
  ['rejects', 'error'],
] as const)('a resource whose validation %s is destroyed, and the next is tried', async (_what, ending) => {
  const { pool, factory, clock, ended } = await setUp()
  await clock.advance(500)
  factory.onValidate = (resource) => (resource.id === 2 ? ending : true)
  expect((await pool.acquire()).resource.id).toBe(1)
  expect(ended).toEqual([['invalid', ending === false ? undefined : factory.error]])
  expect(pool.stats()).toMatchObject({ validateFailures: 1, validating: 0 })
})

test('a validation that takes too long is a failure, and says so', async () => {
  const { pool, factory, clock, ended } = await setUp({ validateTimeoutMs: 1_000 })
  await clock.advance(500)
  factory.onValidate = (resource) => (resource.id === 2 ? 'manual' : true)
  const waiting = pool.acquire()
  await clock.advance(999)
  expect(pool.stats()).toMatchObject({ validating: 1, waiting: 1, inUse: 1, available: 1 })
  await clock.advance(1)
  expect((await waiting).resource.id).toBe(1)
  expect(ended).toMatchObject([['invalid', { code: 'OPERATION_TIMEOUT' }]])
  factory.validates[0]?.succeed()
  await settled()
  expect(pool.stats()).toMatchObject({ validating: 0, inUse: 1 })
})

test('the waiter keeps its place and its deadline while resources turn out to be bad', async () => {
  const { pool, factory, clock } = await setUp({ acquireTimeoutMs: 1_500, validateTimeoutMs: 1_000 })
  await clock.advance(500)
  factory.onValidate = () => 'never'
  factory.onCreate = () => 'never'
  const order: string[] = []
  const first = pool.acquire().catch((error: { code: string }) => order.push(`first ${error.code}`))
  await clock.advance(1_000)
  const second = pool.acquire().catch((error: { code: string }) => order.push(`second ${error.code}`))
  await clock.advance(500)
  await first
  await clock.advance(1_000)
  await second
  expect(order).toEqual(['first ACQUIRE_TIMEOUT', 'second ACQUIRE_TIMEOUT'])
})

test('a resource whose waiter went away during its validation is idle again', async () => {
  const { pool, factory, clock } = await setUp()
  await clock.advance(500)
  factory.onValidate = () => 'manual'
  const controller = new AbortController()
  const aborted = pool.acquire({ signal: controller.signal })
  controller.abort()
  await expect(aborted).rejects.toThrow('aborted')
  factory.validates[0]?.succeed()
  await settled()
  expect(pool.stats()).toMatchObject({ available: 2, inUse: 0, validating: 0 })
})

test('a fresh resource serves the oldest waiter though others are being validated for it', async () => {
  const { pool, factory, clock } = await setUp()
  const held = await pool.acquire()
  await clock.advance(500)
  factory.onValidate = () => 'manual'
  const waiting = pool.acquire()
  expect(pool.stats()).toMatchObject({ validating: 1 })
  held.release()
  expect((await waiting).resource.id).toBe(2)
  factory.validates[0]?.succeed()
  await settled()
  expect(pool.stats()).toMatchObject({ available: 1, inUse: 1 })
})

test('a fresh resource serves at once though a validation that nobody waits for any more is under way', async () => {
  const lifetimes = [0, 0, 0.5]
  const clock = new FakeClock()
  const factory = new FakeFactory(clock)
  const pool = createPool(
    factory,
    { minSize: 3, maxSize: 3, maxLifetimeMs: 10_000 },
    { clock, random: () => lifetimes.shift() ?? 0 },
  )
  await clock.advance(9_300)
  const short = await pool.acquire()
  const long = await pool.acquire()
  expect([short.resource.id, long.resource.id]).toEqual([3, 2])
  factory.onValidate = () => 'manual'
  const controller = new AbortController()
  const aborted = rejection(pool.acquire({ signal: controller.signal }))
  controller.abort()
  await aborted
  long.release()
  short.release()
  await clock.advance(76)
  const acquired = pool.acquire()
  expect(pool.stats()).toMatchObject({ waiting: 0, validating: 1, inUse: 2 })
  expect((await acquired).resource.id).toBe(2)
  expect(factory.endings.slice(0, 3)).toEqual([undefined, undefined, 'lifetime'])
})

test('only true is a yes', async () => {
  const { pool, factory, clock, ended } = await setUp({ minSize: 1, maxSize: 1 })
  await clock.advance(500)
  factory.validate = (async () => undefined) as never
  expect((await pool.acquire()).resource.id).toBe(2)
  expect(ended).toEqual([['invalid', undefined]])
})
