import { afterEach, expect, test, vi } from 'vitest'
import { createPool, type Entry, type PoolEventName, type PoolOptions } from '../../src/pool/index.js'
import { FakeClock, settled } from '../support/fake-clock.js'
import { FakeFactory, type FakeResource } from '../support/fake-factory.js'
import { rejection } from '../support/rejection.js'

afterEach(() => {
  vi.restoreAllMocks()
})

function setUp(options: PoolOptions = {}) {
  const clock = new FakeClock()
  const factory = new FakeFactory(clock)
  const pool = createPool(factory, { minSize: 0, maxSize: 1, ...options }, { clock })
  return { clock, factory, pool }
}

const NAMES: PoolEventName[] = [
  'created',
  'destroyed',
  'acquired',
  'released',
  'timeout',
  'leak',
  'createFailed',
  'destroyFailed',
  'closed',
]

test('the life of a resource is told in order, and the stats add up in each event', async () => {
  const { pool, clock, factory } = setUp()
  const told: unknown[] = []
  for (const name of NAMES) {
    pool.on(name, (event) => {
      const { resource: _resource, ...details } = event as { resource?: unknown }
      told.push([name, details])
      const { currentSize, available, inUse, created, destroyed } = pool.stats()
      expect(currentSize).toBe(available + inUse)
      expect(currentSize).toBe(created - destroyed)
    })
  }
  factory.onCreate = () => ({ afterMs: 20, ending: 'ok' })
  const acquired = pool.acquire({ owner: 'encrypt' })
  await clock.advance(20)
  const lease = await acquired
  const next = pool.acquire({ owner: 'sign' })
  await clock.advance(30)
  lease.release()
  ;(await next).destroy()
  await pool.close()
  expect(told).toEqual([
    ['created', { tookMs: 20 }],
    ['acquired', { waitedMs: 20, owner: 'encrypt' }],
    ['released', { heldMs: 30 }],
    ['acquired', { waitedMs: 30, owner: 'sign' }],
    ['released', { heldMs: 0 }],
    ['destroyed', { reason: 'discarded' }],
    ['closed', { abandoned: 0 }],
  ])
})

test('timeouts and failed creations are told', async () => {
  const { pool, clock, factory } = setUp()
  const told: unknown[] = []
  pool.on('timeout', (event) => told.push(event))
  pool.on('createFailed', ({ error, attempt }) => told.push([error.code, attempt]))
  factory.onCreate = () => 'error'
  await expect(pool.acquire()).rejects.toThrow('failed to create connection')
  factory.onCreate = () => 'never'
  const slow = rejection(pool.acquire({ timeoutMs: 70, owner: 'me' }))
  await clock.advance(70)
  expect(await slow).toMatchObject({ message: expect.stringContaining('timeout') })
  expect(told).toEqual([['CREATE_FAILED', 1], { waitedMs: 70, owner: 'me' }])
})

test('a listener that is taken off hears nothing more', async () => {
  const { pool } = setUp()
  const heard: string[] = []
  const listener = () => heard.push('acquired')
  pool.on('acquired', listener).on('acquired', listener)
  pool.off('acquired', listener)
  ;(await pool.acquire()).release()
  pool.off('acquired', listener).off('acquired', listener)
  ;(await pool.acquire()).release()
  expect(heard).toEqual(['acquired'])
})

test('what a listener throws is a warning, once, and disturbs neither the pool nor other listeners', async () => {
  const warn = vi.spyOn(process, 'emitWarning').mockReturnValue()
  const { pool } = setUp()
  const heard: number[] = []
  pool.on('acquired', () => {
    throw new Error('bad day')
  })
  pool.on('acquired', ({ resource }) => heard.push(resource.id))
  ;(await pool.acquire()).release()
  ;(await pool.acquire()).release()
  expect(heard).toEqual([1, 1])
  expect(warn).toHaveBeenCalledOnce()
  expect(warn).toHaveBeenCalledWith(
    expect.stringContaining('a listener for the pool event "acquired" threw; the pool goes on: Error: bad day'),
    'PoolListenerWarning',
  )
})

test('a listener may use the pool', async () => {
  const { pool, factory } = setUp({ minSize: 1, maxSize: 2 })
  const taken: number[] = []
  pool.on('created', () => {
    const entry = pool.tryAcquireEntry()
    if (entry === undefined) return
    taken.push(entry.resource.id)
    pool.destroyEntry(entry)
    if (taken.length === 3) void pool.close()
  })
  await settled()
  expect(taken).toEqual([1, 2, 3])
  expect(factory.live).toHaveLength(0)
})

test('a listener that tries to acquire does not overtake those who wait', async () => {
  const { pool } = setUp()
  const tried: unknown[] = []
  pool.on('created', () => tried.push(pool.tryAcquireEntry()))
  expect((await pool.acquire()).resource.id).toBe(1)
  expect(tried).toEqual([undefined])
})

test('what a listener acquires in the middle of a reset is its own until it gives it back', async () => {
  const { pool, factory } = setUp({ minSize: 2, maxSize: 2 })
  await settled()
  const taken: Entry<FakeResource>[] = []
  pool.on('destroyed', () => {
    const entry = pool.tryAcquireEntry()
    if (entry !== undefined) taken.push(entry)
  })
  pool.reset()
  expect(taken).toHaveLength(1)
  expect(factory.endings.slice(0, 2)).toEqual([undefined, 'reset'])
  for (const entry of taken) pool.releaseEntry(entry)
  expect(factory.endings.slice(0, 2)).toEqual(['reset', 'reset'])
})

test('an event there is not, or a listener that is none, is refused', () => {
  const { pool } = setUp()
  expect(() => pool.on('create' as never, () => {})).toThrow('unknown event "create"; did you mean "created"?')
  expect(() => pool.off('toString' as never, () => {})).toThrow('unknown event "toString"')
  expect(() => pool.on('leak', undefined as never)).toThrow('the listener is of type undefined; expected a function')
})

async function forgetful(pool: ReturnType<typeof setUp>['pool']): Promise<void> {
  await pool.acquire({ owner: 'forgetful' })
}

test('a lease held too long is reported once, with the place that acquired it', async () => {
  const { pool, clock } = setUp({ leakThresholdMs: 10_000, maxSize: 2 })
  const leaks: { heldMs: number; owner: string | undefined; acquiredAt: string }[] = []
  pool.on('leak', ({ heldMs, owner, acquiredAt }) => leaks.push({ heldMs, owner, acquiredAt }))
  await forgetful(pool)
  ;(await pool.acquire()).release()
  await clock.advance(9_999)
  expect(leaks).toEqual([])
  await clock.advance(60_000)
  expect(leaks).toEqual([{ heldMs: 10_000, owner: 'forgetful', acquiredAt: expect.stringContaining('forgetful') }])
  expect(leaks[0]?.acquiredAt).not.toContain('pool.ts')
  expect(pool.stats().leaked).toBe(1)
})

test('a lease that was waited for, and one taken without waiting, are told apart by their places too', async () => {
  const { pool, clock } = setUp({ leakThresholdMs: 1_000, maxSize: 2, minSize: 1 })
  const places: string[] = []
  pool.on('leak', ({ acquiredAt }) => places.push(acquiredAt))
  await settled()
  const takeAtOnce = () => pool.tryAcquireEntry('now')
  takeAtOnce()
  const useForLong = () => pool.use(() => new Promise(() => {}))
  void useForLong()
  await clock.advance(2_000)
  expect(places).toEqual([expect.stringContaining('takeAtOnce'), expect.stringContaining('useForLong')])
})

test('time in which the process was stopped does not make a leak', async () => {
  const { pool, clock } = setUp({ leakThresholdMs: 10_000 })
  const leaks: number[] = []
  pool.on('leak', ({ heldMs }) => leaks.push(heldMs))
  await pool.acquire()
  await clock.jump(60_000)
  expect(leaks).toEqual([])
  await clock.advance(20_000)
  expect(leaks).toHaveLength(1)
})
