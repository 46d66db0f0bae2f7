import { expect, test } from 'vitest'
import { HealthMonitor } from '../../src/resilience/health-monitor.js'
import { FakeClock } from '../support/fake-clock.js'

function create(options: { probeIntervalMs?: number; keepAlive?: boolean } = {}) {
  const clock = new FakeClock()
  const world = { clock, heard: false, looks: [] as number[], monitor: undefined as unknown as HealthMonitor }
  world.monitor = new HealthMonitor(
    { probeIntervalMs: 1_000, probeTimeoutMs: 10, keepAlive: false, ...options },
    clock,
    { heardWithin: (ms) => ms === 1_000 && world.heard, look: (ms) => world.looks.push(ms) },
  )
  return world
}

test('looks at each interval, but not where a call has succeeded within it', async () => {
  const world = create()
  await world.clock.advance(999)
  expect(world.looks).toEqual([])
  await world.clock.advance(1)
  expect(world.looks).toEqual([1_000])
  world.heard = true
  await world.clock.advance(5_000)
  expect(world.looks).toHaveLength(1)
  world.heard = false
  await world.clock.advance(2_000)
  expect(world.looks).toHaveLength(3)
})

test('with keepAlive looks also where calls succeed', async () => {
  const world = create({ keepAlive: true })
  world.heard = true
  await world.clock.advance(3_000)
  expect(world.looks).toHaveLength(3)
})

test('an interval without end sets no timer, and after stop there is none', async () => {
  expect(create({ probeIntervalMs: Infinity }).clock.armed).toBe(0)
  const { clock, monitor, looks } = create()
  monitor.stop()
  expect(clock.armed).toBe(0)
  await clock.advance(10_000)
  expect(looks).toEqual([])
})
