import { expect, test } from 'vitest'
import { createPool } from '../../src/pool/index.js'
import { FakeClock, settled } from '../support/fake-clock.js'
import { FakeFactory } from '../support/fake-factory.js'

function setUp() {
  const clock = new FakeClock()
  const factory = new FakeFactory(clock)
  const pool = createPool(factory, { minSize: 0, maxSize: 2 }, { clock })
  return { factory, pool }
}

const RELEASED = { code: 'SESSION_RELEASED', category: 'caller' }

test('a lease that was released can be neither released again nor used', async () => {
  const { pool } = setUp()
  const lease = await pool.acquire()
  lease.release()
  expect(() => lease.release()).toThrow(expect.objectContaining(RELEASED))
  expect(() => lease.release()).toThrow(
    'this lease was released already and cannot be released again; keep each use between its acquire and its one release',
  )
  expect(() => lease.destroy()).toThrow(expect.objectContaining(RELEASED))
  expect(() => lease.resource).toThrow(expect.objectContaining(RELEASED))
  expect(pool.stats()).toMatchObject({ available: 1, inUse: 0 })
})

test('releasing again does not end the lease that somebody else has on the resource by now', async () => {
  const { pool } = setUp()
  const mine = await pool.acquire()
  mine.release()
  const theirs = await pool.acquire()
  expect(() => mine.release()).toThrow('released already')
  expect(theirs.resource.id).toBe(1)
  expect(pool.stats()).toMatchObject({ available: 0, inUse: 1 })
})

test('a destroyed lease takes its resource out of the pool and makes place for another', async () => {
  const { pool, factory } = setUp()
  const [broken] = await Promise.all([pool.acquire(), pool.acquire()])
  const waiting = pool.acquire()
  broken.destroy()
  expect((await waiting).resource.id).toBe(3)
  expect(factory.endings).toEqual(['discarded', undefined, undefined])
  expect(() => broken.release()).toThrow(expect.objectContaining(RELEASED))
})

test('disposing of a lease releases it once, whatever was done by hand before', async () => {
  const { pool } = setUp()
  const lease = await pool.acquire()
  await lease[Symbol.asyncDispose]()
  expect(pool.stats()).toMatchObject({ available: 1, inUse: 0 })
  lease[Symbol.dispose]()
  const other = await pool.acquire()
  other.destroy()
  other[Symbol.dispose]()
  expect(pool.stats()).toMatchObject({ currentSize: 0, released: 2 })
})

test('an entry that is not leased from this pool is not taken back', async () => {
  const { pool } = setUp()
  const { pool: other } = setUp()
  const entry = await other.acquireEntry()
  expect(() => pool.releaseEntry(entry)).toThrow(expect.objectContaining(RELEASED))
  other.releaseEntry(entry)
  expect(() => other.releaseEntry(entry)).toThrow(expect.objectContaining(RELEASED))
  expect(() => other.destroyEntry(entry)).toThrow(expect.objectContaining(RELEASED))
})

test('use releases after the function, also after it threw, and passes on what it gave', async () => {
  const { pool } = setUp()
  expect(await pool.use((resource) => resource.id)).toBe(1)
  await expect(
    pool.use(async () => {
      throw new Error('their fault')
    }),
  ).rejects.toThrow('their fault')
  expect(pool.stats()).toMatchObject({ available: 1, inUse: 0, acquired: 2, released: 2 })
})

test('use lets the function destroy what it found broken', async () => {
  const { pool, factory } = setUp()
  await pool.use((_resource, lease) => lease.destroy())
  expect(factory.endings).toEqual(['discarded'])
})

test('use does not run the function for a signal that aborted while the resource was on its way', async () => {
  const { pool } = setUp()
  const held = await Promise.all([pool.acquire(), pool.acquire()])
  const controller = new AbortController()
  let ran = false
  const used = pool.use(
    () => {
      ran = true
    },
    { signal: controller.signal },
  )
  held[0].release()
  controller.abort(new Error('never mind'))
  await expect(used).rejects.toThrow('never mind')
  expect(ran).toBe(false)
  await settled()
  expect(pool.stats()).toMatchObject({ available: 1, inUse: 1 })
})
