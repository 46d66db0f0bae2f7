import { expect, test } from 'vitest'
import { cryptokiError } from '../../src/pkcs11/cryptoki-error.js'
import type { NativeTokenInfo } from '../../src/pkcs11/protocol.js'
import { RETURN_VALUES } from '../../src/pkcs11/return-values.js'
import { createPool } from '../../src/pool/index.js'
import type { Token } from '../../src/session/token.js'
import { SessionLimit } from '../../src/session-limit.js'
import { FakeClock, settled } from '../support/fake-clock.js'
import { FakeFactory } from '../support/fake-factory.js'

type Counts = Pick<NativeTokenInfo, 'maxSessionCount' | 'sessionCount' | 'maxRwSessionCount' | 'rwSessionCount'>
const UNTOLD = -1
const NO_LIMIT = 0

/** A pool of up to 10, and a token that tells what the test has it tell, or nothing. */
function setUp({ readOnly = false } = {}) {
  const clock = new FakeClock()
  const factory = new FakeFactory(clock, { validates: false })
  const pool = createPool(factory, { minSize: 0, maxSize: 10, growAfterMs: 0 }, { clock })
  const world = {
    clock,
    factory,
    pool,
    asked: 0,
    tells: undefined as (() => Partial<Counts>) | undefined,
    lend: (count: number) => Promise.all(Array.from({ length: count }, () => pool.acquire())),
    bound: () => pool.stats().effectiveMaxSize,
    login: { held: true },
  }
  const version = [1, 0]
  const engine = {
    run: async () => {
      world.asked += 1
      if (world.tells === undefined) throw new Error('the token does not answer')
      const counts = {
        maxSessionCount: UNTOLD,
        sessionCount: UNTOLD,
        maxRwSessionCount: UNTOLD,
        rwSessionCount: UNTOLD,
      }
      return { ...counts, flags: 0, hardwareVersion: version, firmwareVersion: version, ...world.tells() }
    },
  }
  const token = { engine, slot: 0, timeoutMs: 1_000, login: world.login } as unknown as Token
  return { ...world, world, limit: new SessionLimit(token, pool, readOnly, clock) }
}

const of = (max: number, count: number): Counts => ({
  maxSessionCount: max,
  sessionCount: count,
  maxRwSessionCount: max,
  rwSessionCount: count,
})

test('the pool may have what the token has, without what others have and the session that holds the login', async () => {
  const { world, limit, bound } = setUp()
  world.tells = () => of(8, 3)
  await limit.learn()
  // One of the three is the one that holds the login.
  expect(limit.told).toEqual({ max: 8, elsewhere: 2 })
  expect(bound()).toBe(5)
})

test('what the pool itself has is not somebody else’s', async () => {
  const { world, limit, lend, bound } = setUp()
  await lend(4)
  world.tells = () => of(8, 5)
  await limit.learn()
  expect(limit.told).toEqual({ max: 8, elsewhere: 0 })
  expect(bound()).toBe(7)
})

test.each([
  ['has no limit', () => of(NO_LIMIT, 40), { max: Infinity, elsewhere: 39 }, 10],
  ['has more than are asked for', () => of(1_024, 1), { max: 1_024, elsewhere: 0 }, 10],
  ['has very many', () => of(2 ** 40, 1), { max: 2 ** 40, elsewhere: 0 }, 10],
  ['says nothing', () => ({}), { max: undefined, elsewhere: undefined }, 10],
  ['says its limit only', () => ({ maxSessionCount: 5 }), { max: 5, elsewhere: undefined }, 4],
  ['says what is open only', () => ({ sessionCount: 7 }), { max: undefined, elsewhere: 6 }, 10],
  ['has one', () => of(1, 1), { max: 1, elsewhere: 0 }, 1],
  ['is full of others’', () => of(4, 4), { max: 4, elsewhere: 3 }, 1],
] as const)('a token that %s', async (_, tells, told, expected) => {
  const { world, limit, bound } = setUp()
  world.tells = tells
  await limit.learn()
  expect(limit.told).toEqual(told)
  expect(bound()).toBe(expected)
})

test('the limit of sessions that write holds for those that do, where it is the lower one', async () => {
  const counts = { maxSessionCount: 10, sessionCount: 1, maxRwSessionCount: 3, rwSessionCount: 1 }
  for (const [readOnly, expected] of [
    [false, 2],
    [true, 9],
  ] as const) {
    const { world, limit, bound } = setUp({ readOnly })
    world.tells = () => counts
    await limit.learn()
    expect(bound()).toBe(expected)
  }
})

test('a token is asked once, however many ask, and one that does not answer bounds nothing', async () => {
  const { world, limit, bound } = setUp()
  await Promise.all([limit.learn(), limit.learn()])
  await limit.learn()
  expect(world.asked).toBe(1)
  expect(limit.told).toEqual({ max: undefined, elsewhere: undefined })
  expect(bound()).toBe(10)
})

test('resize does not lift what the token told', async () => {
  const { world, limit, pool, bound } = setUp()
  world.tells = () => of(5, 1)
  await limit.learn()
  pool.resize({ maxSize: 20 })
  limit.apply()
  expect(bound()).toBe(4)
  pool.resize({ maxSize: 2 })
  limit.apply()
  expect(bound()).toBe(2)
})

test('while others keep the pool small the token is asked again, until they do not', async () => {
  const { world, limit, clock, bound } = setUp()
  let others = 6
  world.tells = () => of(8, 1 + others)
  await limit.learn()
  expect(bound()).toBe(1)
  others = 3
  await clock.advance(30_000)
  expect(bound()).toBe(4)
  others = 0
  await clock.advance(30_000)
  expect(bound()).toBe(7)
  await clock.advance(3_600_000)
  expect(world.asked).toBe(3)
})

test('others that do not keep it small are nobody’s concern', async () => {
  const { world, limit, clock } = setUp()
  world.tells = () => of(100, 50)
  await limit.learn()
  await clock.advance(3_600_000)
  expect(world.asked).toBe(1)
})

test('before anybody has logged in, all sessions of the token are somebody else’s', async () => {
  const { world, limit, bound } = setUp()
  world.login.held = false
  world.tells = () => of(8, 3)
  await limit.learn()
  expect(limit.told).toEqual({ max: 8, elsewhere: 3 })
  // One will be needed to hold the login.
  expect(bound()).toBe(4)
})

const noMore = cryptokiError(RETURN_VALUES.CKR_SESSION_COUNT.rv, 'C_OpenSession')

test('a refusal is told from other failures', () => {
  const { limit } = setUp()
  expect(limit.refused(noMore)).toBe(true)
  expect(limit.refused(new Error('another'))).toBe(false)
  limit.stop()
})

test('after refusals the token is asked again once', async () => {
  const { world, limit, pool, clock, lend, bound } = setUp()
  world.tells = () => ({})
  await limit.learn()
  await lend(3)
  limit.refused(noMore)
  limit.refused(noMore)
  pool.limitTo(3)
  await clock.advance(29_999)
  expect([bound(), world.asked]).toEqual([3, 1])
  await clock.advance(1)
  expect([bound(), world.asked]).toEqual([10, 2])
  await clock.advance(3_600_000)
  expect(world.asked).toBe(2)
})

test('after a refusal a token that does not answer is tried with what it told before', async () => {
  const { world, limit, pool, clock, lend, bound } = setUp()
  world.tells = () => of(8, 3)
  await limit.learn()
  await lend(2)
  limit.refused(noMore)
  pool.limitTo(2)
  world.tells = undefined
  await clock.advance(30_000)
  expect(limit.told).toEqual({ max: 8, elsewhere: undefined })
  expect(bound()).toBe(7)
})

test('nothing is asked after stop', async () => {
  const { world, limit, clock, pool } = setUp()
  world.tells = () => of(4, 4)
  await limit.learn()
  limit.stop()
  await pool.close()
  await settled()
  await clock.advance(3_600_000)
  expect(world.asked).toBe(1)
  expect(clock.armed).toBe(0)
})
