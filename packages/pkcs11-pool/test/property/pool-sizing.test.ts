import assert from 'node:assert/strict'
import fc from 'fast-check'
import { test } from 'vitest'
import { createPool, type PoolOptions } from '../../src/pool/index.js'
import { FakeClock, settled } from '../support/fake-clock.js'
import { FakeFactory } from '../support/fake-factory.js'

const IDLE_TIMEOUT_MS = 1_000

interface Call {
  afterMs: number
  heldMs: number
}

const options: fc.Arbitrary<PoolOptions> = fc
  .record({
    maxSize: fc.integer({ min: 1, max: 12 }),
    minSize: fc.nat(4),
    growAfterMs: fc.constantFrom(0, 20, Number.POSITIVE_INFINITY),
  })
  .map((drawn) => ({
    ...drawn,
    minSize: Math.min(drawn.minSize, drawn.maxSize),
    idleTimeoutMs: IDLE_TIMEOUT_MS,
    maxLifetimeMs: Number.POSITIVE_INFINITY,
    acquireTimeoutMs: Number.POSITIVE_INFINITY,
    // the heaviest load drawn leaves some 12,000 callers waiting
    maxWaiters: 100_000,
  }))
const createMs = fc.constantFrom(0, 1, 5, 50, 300)
const chance = fc.double({ min: 0, max: 1, noNaN: true })

/** A pool under load, and what became of its size. */
class Load {
  readonly clock = new FakeClock()
  readonly factory = new FakeFactory(this.clock, { validates: false })
  readonly pool
  /** the size after each change of it */
  readonly sizes: { at: number; size: number }[] = []

  constructor(options: PoolOptions, creationMs: number, random: number) {
    this.factory.onCreate = () => ({ afterMs: creationMs, ending: 'ok' })
    this.pool = createPool(this.factory, options, { clock: this.clock, random: () => random })
    for (const event of ['created', 'destroyed'] as const) this.pool.on(event, () => this.#changed())
  }

  #changed(): void {
    const { currentSize, available, inUse, creating, destroying, effectiveMaxSize } = this.pool.stats()
    this.sizes.push({ at: this.clock.now(), size: currentSize })
    assert.equal(currentSize, available + inUse)
    assert.ok(currentSize + creating + destroying <= effectiveMaxSize, 'more than there may be')
    assert.ok(this.factory.live.length <= effectiveMaxSize, 'more than there may be exist')
  }

  async call({ afterMs, heldMs }: Call): Promise<void> {
    await this.clock.advance(afterMs)
    void this.pool.acquireEntry().then((entry) => {
      this.clock.setTimeout(() => this.pool.releaseEntry(entry), heldMs)
    })
  }

  /** How often the size went up after it had gone down, or the other way round. */
  get turns(): number {
    const steps = this.sizes.map(({ size }, at) => Math.sign(size - (this.sizes[at - 1]?.size ?? 0)))
    return steps.filter((step, at) => at > 0 && step !== steps[at - 1]).length
  }
}

test('under whatever load, the size goes up and down once in idleTimeoutMs at most, and ends at minSize', async () => {
  const gap = fc.oneof(
    { weight: 8, arbitrary: fc.nat(40) },
    { weight: 1, arbitrary: fc.integer({ min: 500, max: 3_000 }) },
  )
  const call = fc.record({ afterMs: gap, heldMs: fc.constantFrom(0, 1, 3, 30, 400) })
  await fc.assert(
    fc.asyncProperty(
      options,
      createMs,
      chance,
      fc.array(call, { minLength: 20, maxLength: 150, size: 'max' }),
      async (drawn, creationMs, random, calls) => {
        const load = new Load(drawn, creationMs, random)
        const begin = load.clock.now()
        for (const each of calls) await load.call(each)
        await load.clock.advance(10 * IDLE_TIMEOUT_MS + 400 * calls.length)
        const { currentSize, minSize, waiting, acquired, released } = load.pool.stats()
        assert.deepEqual([waiting, acquired, released], [0, calls.length, calls.length])
        assert.equal(currentSize, minSize)
        const lasted = load.clock.now() - begin
        assert.ok(load.turns <= 2 * (lasted / IDLE_TIMEOUT_MS + 1), `${load.turns} turns in ${lasted} ms`)
      },
    ),
    { numRuns: 150 },
  )
})

test('under a load that stays the same, the size comes to rest', async () => {
  const steady = fc.record({
    atOnce: fc.integer({ min: 1, max: 10 }),
    everyMs: fc.integer({ min: 5, max: 60 }),
    heldMs: fc.integer({ min: 1, max: 60 }),
  })
  await fc.assert(
    fc.asyncProperty(
      options,
      createMs,
      chance,
      steady,
      async (drawn, creationMs, random, { atOnce, everyMs, heldMs }) => {
        const load = new Load(drawn, creationMs, random)
        const run = async (durationMs: number): Promise<void> => {
          for (let left = durationMs; left > 0; left -= everyMs) {
            for (let i = 0; i < atOnce; i++) await load.call({ afterMs: 0, heldMs })
            await load.clock.advance(everyMs)
          }
        }
        await run(3 * IDLE_TIMEOUT_MS)
        const changes = load.sizes.length
        await run(3 * IDLE_TIMEOUT_MS)
        assert.deepEqual(load.sizes.slice(changes), [], 'it changed again')
        await settled()
      },
    ),
    { numRuns: 60 },
  )
})
