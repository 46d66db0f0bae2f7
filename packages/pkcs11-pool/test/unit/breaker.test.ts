import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { BreakerOpenError, Pkcs11PoolError } from '../../src/index.js'
import { Breaker, type BreakerReport } from '../../src/resilience/breaker.js'
import { FakeClock, settled } from '../support/fake-clock.js'

const START = new Date('2030-01-01T00:00:00Z')
beforeEach(() => void vi.useFakeTimers({ now: START, toFake: ['Date'] }))
afterEach(() => void vi.useRealTimers())

const failure = new Pkcs11PoolError('OPERATION_TIMEOUT', 'it hangs')
const again = new Pkcs11PoolError('OPERATION_TIMEOUT', 'it hangs still')

interface World {
  clock: FakeClock
  breaker: Breaker
  reports: BreakerReport[]
  probes: { resolve: () => void; reject: (error: unknown) => void }[]
}

function create(failureThreshold = 3): World {
  const clock = new FakeClock()
  const reports: BreakerReport[] = []
  const probes: World['probes'] = []
  const breaker = new Breaker({ failureThreshold, initialBackoffMs: 100, maxBackoffMs: 1_000 }, clock, {
    probe: () => new Promise((resolve, reject) => probes.push({ resolve, reject })),
    changed: (report) => reports.push(report),
  })
  return { clock, breaker, reports, probes }
}

/** How long the open breaker waits. */
function waitMs({ breaker }: World): number {
  return (breaker.report().retryAt?.getTime() ?? Number.NaN) - Date.now()
}

async function fail({ clock, probes, ...world }: World): Promise<void> {
  await clock.advance(waitMs({ clock, probes, ...world }))
  probes.at(-1)?.reject(again)
  await settled()
}

test('failures in a row open it, and a success in between begins the count anew', () => {
  const { breaker, reports } = create()
  for (let row = 0; row < 2; row += 1) {
    breaker.failed(failure)
    breaker.failed(failure)
    breaker.succeeded()
  }
  expect(breaker.report()).toMatchObject({ state: 'closed', failures: 0, opened: 0 })
  for (let count = 0; count < 3; count += 1) {
    expect(breaker.blocked).toBe(false)
    breaker.failed(failure)
  }
  expect(breaker.blocked).toBe(true)
  expect(reports).toMatchObject([{ state: 'open', opened: 1, openedAt: START, cause: failure }])
})

test('so many doubts in a row ask for a look, and a success in between begins the count anew', () => {
  const { breaker } = create()
  for (let round = 0; round < 2; round += 1) {
    expect([breaker.doubted(), breaker.doubted()]).toEqual([false, false])
    breaker.succeeded()
    expect([breaker.doubted(), breaker.doubted(), breaker.doubted()]).toEqual([false, false, true])
  }
  expect(breaker.report()).toMatchObject({ state: 'closed', failures: 0, opened: 0 })
  breaker.trip(failure)
  expect(breaker.doubted()).toBe(false)
})

test('on probation the first doubt asks for a look', async () => {
  const { clock, breaker, probes } = create()
  breaker.trip(failure)
  await clock.advance(100)
  probes.at(-1)?.resolve()
  await settled()
  expect(breaker.blocked).toBe(false)
  expect(breaker.doubted()).toBe(true)
})

test('what shows beyond doubt that the token is gone opens it at once, and only once', () => {
  const { breaker, reports } = create()
  breaker.trip(failure)
  breaker.trip(again)
  breaker.failed(again)
  expect(breaker.report()).toMatchObject({ state: 'open', opened: 1, cause: failure })
  expect(reports).toHaveLength(1)
})

test('a refusal says when the next try is, and what failed', () => {
  const world = create()
  world.breaker.trip(failure)
  const { retryAt } = world.breaker.report()
  const refusal = world.breaker.refusal()
  expect(refusal).toBeInstanceOf(BreakerOpenError)
  expect(refusal).toMatchObject({ code: 'BREAKER_OPEN', category: 'token', retryAt, cause: failure })
  expect(refusal.message).toContain(`next at ${retryAt?.toISOString()}, in ${waitMs(world)} ms: it hangs`)
})

test('it is tried once at the time that it said, and closes when that succeeds', async () => {
  const world = create()
  const { breaker, clock, probes, reports } = world
  breaker.trip(failure)
  await clock.advance(waitMs(world) - 1)
  expect(probes).toHaveLength(0)
  await clock.advance(1)
  expect(breaker.report()).toMatchObject({ state: 'half-open', retryAt: undefined })
  expect(breaker.blocked).toBe(true)
  expect(breaker.refusal().message).toContain('being tried now')
  await clock.advance(100_000)
  expect(probes).toHaveLength(1)
  probes[0]?.resolve()
  await settled()
  expect(breaker.blocked).toBe(false)
  expect(breaker.report()).toMatchObject({ state: 'closed', cause: undefined, openedAt: undefined })
  expect(reports.map(({ state }) => state)).toEqual(['open', 'half-open', 'closed'])
})

test('waits double, up to the longest, and up to half of each is taken off', async () => {
  const world = create()
  world.breaker.trip(failure)
  for (const full of [100, 200, 400, 800, 1_000, 1_000]) {
    expect(waitMs(world)).toBeGreaterThanOrEqual(full / 2)
    expect(waitMs(world)).toBeLessThanOrEqual(full)
    await fail(world)
    expect(world.breaker.report()).toMatchObject({ state: 'open', opened: 1, cause: again })
  }
})

test('after a probe that succeeded, the first failure opens it again and the waits go on; after a call that did, they begin anew', async () => {
  const world = create()
  const { breaker, clock, probes } = world
  breaker.trip(failure)
  for (let time = 0; time < 5; time += 1) await fail(world)
  await clock.advance(waitMs(world))
  probes.at(-1)?.resolve()
  await settled()
  breaker.failed(again)
  expect(breaker.report()).toMatchObject({ state: 'open', opened: 2 })
  expect(waitMs(world)).toBeGreaterThanOrEqual(500)
  await clock.advance(waitMs(world))
  probes.at(-1)?.resolve()
  await settled()
  breaker.succeeded()
  breaker.failed(again)
  expect(breaker.blocked).toBe(false)
  breaker.trip(again)
  expect(waitMs(world)).toBeLessThanOrEqual(100)
})

test('a success of a call that was made before it opened closes nothing', () => {
  const { breaker } = create()
  breaker.trip(failure)
  breaker.succeeded()
  expect(breaker.blocked).toBe(true)
})

test('once stopped it tries nothing any more, and a try under way changes nothing', async () => {
  const world = create()
  const { breaker, clock, probes, reports } = world
  breaker.trip(failure)
  await clock.advance(waitMs(world))
  breaker.stop()
  probes[0]?.reject(again)
  await settled()
  expect(clock.armed).toBe(0)
  expect(reports).toHaveLength(2)
  const stopped = create()
  stopped.breaker.trip(failure)
  stopped.breaker.stop()
  await stopped.clock.advance(10_000)
  expect(stopped.probes).toHaveLength(0)
})
