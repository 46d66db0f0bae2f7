import { expect, test } from 'vitest'
import { systemClock } from '../../src/internal/clock.js'
import { createPool } from '../../src/pool/index.js'

/** The timers that keep this process alive. */
function holding(): number {
  return process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length
}

test('the system clock never goes back', () => {
  const first = systemClock.now()
  expect(systemClock.now()).toBeGreaterThanOrEqual(first)
})

test('a timer fires once its time has come, and a cancelled one does not', async () => {
  const fired: string[] = []
  const hold = setInterval(() => {}, 1_000)
  await new Promise<void>((resolve) => {
    systemClock.setTimeout(() => fired.push('cancelled'), 1).cancel()
    systemClock.setTimeout(() => {
      fired.push('kept')
      resolve()
    }, 5)
  })
  clearInterval(hold)
  expect(fired).toEqual(['kept'])
})

test('no timer of a pool keeps the process alive, not even that of a waiting acquire', async () => {
  const before = holding()
  const ours = setTimeout(() => {}, 60_000)
  expect(holding()).toBe(before + 1)
  clearTimeout(ours)
  const pool = createPool(
    { create: () => new Promise<number>(() => {}), destroy: () => {} },
    { leakThresholdMs: 1_000 },
  )
  const waiting = pool.acquire()
  expect(pool.stats()).toMatchObject({ waiting: 1, creating: 2 })
  expect(holding()).toBe(before)
  const closed = pool.close({ timeoutMs: 0 })
  await expect(waiting).rejects.toMatchObject({ code: 'POOL_CLOSED' })
  await closed
})
