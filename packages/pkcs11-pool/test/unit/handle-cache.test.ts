import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Pkcs11PoolError } from '../../src/index.js'
import { cacheName, DEFAULT_HANDLE_CACHE_OPTIONS, HandleCache } from '../../src/keys/handle-cache.js'
import { idBytes, type KeyReference } from '../../src/session/key-reference.js'
import { FakeClock } from '../support/fake-clock.js'

const missing = new Pkcs11PoolError('KEY_NOT_FOUND', 'none')
const key = { label: 'k' }

function create(options: Partial<typeof DEFAULT_HANDLE_CACHE_OPTIONS> = {}) {
  const clock = new FakeClock()
  return { clock, cache: new HandleCache({ ...DEFAULT_HANDLE_CACHE_OPTIONS, ...options }, clock) }
}

const find = (cache: HandleCache, label: string, handle: number) =>
  cache.lookUp(label, { label }, () => Promise.resolve(handle)).found

test('a handle is fresh for ttlMs, and is offered to the next search after that', async () => {
  const { clock, cache } = create({ ttlMs: 100 })
  await find(cache, 'k', 7)
  await clock.advance(99)
  expect(cache.peek('k')).toBe(7)
  await clock.advance(1)
  expect(cache.peek('k')).toBeUndefined()
  let offered: unknown
  await cache.lookUp('k', key, (stale) => Promise.resolve((offered = stale) as number)).found
  expect(offered).toBe(7)
})

test('a key that is missing is missing for negativeTtlMs, and other failures are not kept', async () => {
  const { clock, cache } = create({ negativeTtlMs: 10 })
  await expect(cache.lookUp('k', key, () => Promise.reject(missing)).found).rejects.toBe(missing)
  expect(() => cache.peek('k')).toThrow(missing)
  await clock.advance(10)
  expect(cache.peek('k')).toBeUndefined()
  await expect(cache.lookUp('other', key, () => Promise.reject(new Error('away'))).found).rejects.toThrow('away')
  expect(cache.peek('other')).toBeUndefined()
})

test('of more than maxEntries the one that was used longest ago goes', async () => {
  const { cache } = create({ maxEntries: 3 })
  for (const [at, label] of ['a', 'b', 'c'].entries()) await find(cache, label, at)
  cache.peek('a')
  await find(cache, 'd', 9)
  expect([cache.peek('a'), cache.peek('b'), cache.peek('d'), cache.size]).toEqual([0, undefined, 9, 3])
})

test('a search that anything was forgotten during is not kept, and not shared with later callers', async () => {
  for (const forget of [
    (cache: HandleCache) => cache.clear(),
    (cache: HandleCache) => cache.forgetHandle(1),
    (cache: HandleCache) => cache.forgetMatching('k', undefined),
    (cache: HandleCache) => cache.forgetReference(key),
  ]) {
    const { cache } = create()
    let answer = (_handle: number): void => undefined
    const first = cache.lookUp('k', key, () => new Promise((resolve) => (answer = resolve))).found
    forget(cache)
    const second = find(cache, 'k', 2)
    answer(1)
    expect(await Promise.all([first, second])).toEqual([1, 2])
    expect(cache.peek('k')).toBe(2)
  }
})

test('who looks for the same meanwhile joins, until somebody has waited in vain; then a second search begins, and no third', async () => {
  const { cache } = create()
  const answers: ((handle: number) => void)[] = []
  const lookUp = () => cache.lookUp('k', key, () => new Promise((resolve) => answers.push(resolve)))
  const first = lookUp()
  const joined = lookUp()
  expect([first.own, joined.own]).toEqual([true, false])
  expect(joined.found).toBe(first.found)
  cache.giveUp('k', first.found)
  const second = lookUp()
  expect(second.own).toBe(true)
  cache.giveUp('k', first.found)
  cache.giveUp('k', second.found)
  expect(lookUp().found).toBe(second.found)
  answers[0]?.(1)
  expect(await first.found).toBe(1)
  // The first has ended: the second may be given up now.
  cache.giveUp('k', second.found)
  expect(lookUp().own).toBe(true)
  for (const answer of answers.slice(1)) answer(1)
  expect(await second.found).toBe(1)
})

test('two references have one name only when they mean the same keys', () => {
  const id = fc.oneof(fc.nat(0xffff_ffff), fc.uint8Array({ maxLength: 5 }))
  const reference = fc.record(
    {
      label: fc.string({ maxLength: 4 }),
      id,
      class: fc.constantFrom('CKO_SECRET_KEY', 'CKO_PUBLIC_KEY'),
      private: fc.boolean(),
    },
    { requiredKeys: [] },
  ) as fc.Arbitrary<KeyReference>
  const use = fc.constantFrom('private', 'public', 'any')
  const meaning = (given: KeyReference): string =>
    JSON.stringify([
      given.label ?? null,
      given.id === undefined ? null : idBytes(given.id).toString('hex'),
      given.class ?? null,
      given.private ?? null,
    ])
  fc.assert(
    fc.property(reference, reference, use, use, (one, other, useOne, useOther) => {
      const same = cacheName(one, useOne) === cacheName(other, useOther)
      expect(same).toBe(meaning(one) === meaning(other) && useOne === useOther)
    }),
    { numRuns: 2_000 },
  )
})

test('uses are confirmed where asked for, and otherwise once a new key has the handle of a destroyed one', async () => {
  expect(create({ confirmUse: true }).cache.confirms).toBe(true)
  const never = create({ confirmUse: false }).cache
  never.numbersComeBack()
  expect(never.confirms).toBe(false)

  const { cache } = create()
  await find(cache, 'k', 7)
  cache.ended(7)
  expect(cache.peek('k')).toBeUndefined()
  cache.appeared(8)
  expect(cache.confirms).toBe(false)
  cache.appeared(7)
  expect(cache.confirms).toBe(true)

  const other = create().cache
  other.ended(7)
  await find(other, 'k', 7)
  expect(other.confirms).toBe(true)
})

test('handles of before the module was initialised again are no sign of anything', () => {
  const { cache } = create()
  cache.ended(7)
  cache.clear()
  cache.appeared(7)
  expect(cache.confirms).toBe(false)
})
