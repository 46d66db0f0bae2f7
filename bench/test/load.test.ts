import { expect, test } from 'vitest'
import { latencyPercentiles, runLoad } from '../src/harness/load.js'

test('each caller runs one operation at a time, and all callers at the same time', async () => {
  const running = new Set<number>()
  let most = 0
  await runLoad(
    async (caller) => {
      expect(running.has(caller)).toBe(false)
      running.add(caller)
      most = Math.max(most, running.size)
      await new Promise(setImmediate)
      running.delete(caller)
    },
    { callers: 3, warmupMs: 0, measureMs: 10, timeEvery: 1 },
  )
  expect(most).toBe(3)
})

test('operations that never leave the microtask queue end when the time is over', async () => {
  await runLoad(async () => undefined, { callers: 2, warmupMs: 1, measureMs: 5, timeEvery: 8 })
})

test('what was done in the warm-up is not counted', async () => {
  let done = 0
  const sample = await runLoad(
    async (_caller, repeat) => {
      done += repeat
      await new Promise(setImmediate)
    },
    { callers: 1, warmupMs: 20, measureMs: 20, timeEvery: 1 },
  )
  expect(sample.ops_per_s * 0.02).toBeLessThan(done)
})

test('the operations that are not timed one by one are counted as well', async () => {
  const repeats = new Set<number>()
  await runLoad(
    async (_caller, repeat) => {
      repeats.add(repeat)
    },
    { callers: 1, warmupMs: 0, measureMs: 50, timeEvery: 64 },
  )
  expect([...repeats]).toEqual([1, 63])
})

test('an operation that fails ends the load with its error', async () => {
  const load = runLoad(() => Promise.reject(new Error('no token')), {
    callers: 2,
    warmupMs: 0,
    measureMs: 5,
    timeEvery: 1,
  })
  await expect(load).rejects.toThrow('no token')
})

test('latencies are given in microseconds, whatever their order', () => {
  expect(latencyPercentiles([3, 1, 2])).toEqual({ p50_us: 2_000, p95_us: 2_000, p99_us: 2_000 })
})
