import fc from 'fast-check'
import { test } from 'vitest'
import type { PoolOptions } from '../../src/pool/index.js'
import { type Step, World } from '../support/pool-world.js'

const which = fc.nat(20)
const ms = fc.constantFrom(0, 1, 40, 100, 300, 1_000, 4_000)

const options: fc.Arbitrary<PoolOptions> = fc
  .record({
    maxSize: fc.integer({ min: 1, max: 5 }),
    minSize: fc.integer({ min: 0, max: 3 }),
    growAfterMs: fc.constantFrom(0, 20, 200, Number.POSITIVE_INFINITY),
    idleTimeoutMs: fc.constantFrom(0, 400, 2_000, Number.POSITIVE_INFINITY),
    maxLifetimeMs: fc.constantFrom(0, 1_000, 10_000, Number.POSITIVE_INFINITY),
    acquireTimeoutMs: fc.constantFrom(0, 200, 5_000, Number.POSITIVE_INFINITY),
    createTimeoutMs: fc.constantFrom(1, 300, 2_000),
    validateTimeoutMs: fc.constantFrom(0, 100, 1_000),
    validateIfIdleMs: fc.constantFrom(0, 50, 500, Number.POSITIVE_INFINITY),
    maxWaiters: fc.constantFrom(1, 3, Number.POSITIVE_INFINITY),
    leakThresholdMs: fc.constantFrom(500, Number.POSITIVE_INFINITY),
  })
  .map((drawn) => ({ ...drawn, minSize: Math.min(drawn.minSize, drawn.maxSize) }))

const slow = fc.record({
  afterMs: fc.constantFrom(1, 50, 500),
  ending: fc.constantFrom('ok' as const, 'error' as const),
})
const ending = fc.oneof(fc.constantFrom('ok' as const, 'manual' as const, 'error' as const, 'throw' as const), slow)
const behaviour = fc.record({ create: ending, validate: fc.oneof(ending, fc.boolean()), destroy: ending })

const timeoutMs = fc.constantFrom(undefined, 0, 30, 1_000, Number.POSITIVE_INFINITY)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ do: fc.constant('acquire' as const), timeoutMs, abortable: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('tryAcquire' as const) }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('release' as const), which }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom('abort' as const, 'destroy' as const, 'releaseAgain' as const), which }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      kind: fc.constantFrom('creates' as const, 'validates' as const, 'destroys' as const),
      which,
      how: fc.constantFrom('ok' as const, 'ok' as const, 'error' as const, 'noMore' as const, 'credentials' as const),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('behave' as const), as: behaviour }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reset' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('resize' as const),
      minSize: fc.nat(3),
      maxSize: fc.integer({ min: 1, max: 5 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('limitTo' as const), count: fc.constantFrom(0, 1, 2, Infinity) }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('advance' as const), ms }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('jump' as const), ms }) },
)

test('whatever is done in whatever order, the stats add up, nobody waits in vain, and nothing is left behind', async () => {
  await fc.assert(
    fc.asyncProperty(
      options,
      fc.array(step, { maxLength: 60, size: 'max' }),
      fc.constantFrom(0, 50, 3_000),
      fc.double({ min: 0, max: 1, noNaN: true }),
      async (drawn, steps, closeTimeoutMs, chance) => {
        const world = new World(drawn, () => chance)
        await world.take({ do: 'advance', ms: 0 })
        for (const next of steps) await world.take(next)
        await world.end(closeTimeoutMs)
      },
    ),
    { numRuns: 2_000 },
  )
})
