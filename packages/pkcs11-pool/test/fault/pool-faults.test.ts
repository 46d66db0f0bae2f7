import { expect, test } from 'vitest'
import type { Ending } from '../support/fake-factory.js'
import { type Step, World } from '../support/pool-world.js'

const OPTIONS = {
  minSize: 1,
  maxSize: 2,
  acquireTimeoutMs: 10_000,
  createTimeoutMs: 1_000,
  validateTimeoutMs: 1_000,
  validateIfIdleMs: 500,
  idleTimeoutMs: 20_000,
  maxLifetimeMs: 60_000,
}

/** How a call may go; `late` ends well, but after its timeout. */
const ENDINGS: Record<string, Ending> = {
  ok: 'ok',
  error: 'error',
  slow: { afterMs: 600, ending: 'ok' },
  late: { afterMs: 2_500, ending: 'ok' },
  never: 'manual',
}

const ACQUIRE: Step = { do: 'acquire', timeoutMs: undefined, abortable: true }

/** What is done to the pool while the calls are under way. */
const VERBS: Record<string, Step[]> = {
  acquire: [ACQUIRE],
  abort: [
    { do: 'abort', which: 0 },
    { do: 'abort', which: 1 },
  ],
  reset: [{ do: 'reset' }, ACQUIRE],
  close: [],
}

const names = Object.keys(ENDINGS)
const combinations = names.flatMap((create) =>
  names.flatMap((validate) => names.map((destroy) => ({ create, validate, destroy }))),
)

for (const [verb, steps] of Object.entries(VERBS)) {
  test.each(combinations)(
    `${verb} with create $create, validate $validate, destroy $destroy: nothing hangs, nothing is leaked, the stats add up`,
    async ({ create, validate, destroy }) => {
      const world = new World(OPTIONS, () => 0)
      // One resource leased and one idle for so long that it has to be validated, then what comes next goes wrong.
      await world.take({ ...ACQUIRE, abortable: false })
      await world.take({ do: 'advance', ms: 600 })
      const as = { create: ENDINGS[create], validate: ENDINGS[validate], destroy: ENDINGS[destroy] }
      await world.take({ do: 'behave', as: as as Record<keyof typeof as, Ending> })
      await world.take(ACQUIRE)
      await world.take(ACQUIRE)
      await world.take(ACQUIRE)
      await world.take({ do: 'destroy', which: 0 })
      if (verb === 'close') return world.end(5_000)
      for (const step of steps) await world.take(step)
      for (let i = 0; i < 12; i++) {
        await world.take({ do: 'release', which: 0 })
        await world.take({ do: 'advance', ms: 1_000 })
      }
      expect(world.pending.size).toBe(0)
      await world.take({ do: 'advance', ms: 60_000 })
      await world.end(5_000)
    },
  )
}
