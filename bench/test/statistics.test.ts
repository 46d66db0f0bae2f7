import { expect, test } from 'vitest'
import type { Sample } from '../src/harness/result.js'
import { median, percentile, ratios, summarise, target } from '../src/harness/statistics.js'

function sample(ops_per_s: number, p50_us = 1): Sample {
  return { ops_per_s, p50_us, p95_us: 2, p99_us: 3 }
}

test('the median of an even number of values is the mean of the two in the middle', () => {
  expect(median([9, 1, 3, 5])).toBe(4)
  expect(median([9, 1, 3])).toBe(3)
})

test('a percentile is one of the values, and the last at most', () => {
  const sorted = Array.from({ length: 101 }, (_, index) => index)
  expect(percentile(sorted, 0.5)).toBe(50)
  expect(percentile(sorted, 0.99)).toBe(99)
  expect(percentile(sorted, 1)).toBe(100)
  expect(percentile([], 0.5)).toBeNaN()
})

test('ratios pair the rounds, so that a slow round of both changes nothing', () => {
  expect(ratios([90, 45, 180], [100, 50, 200])).toEqual([0.9, 0.9, 0.9])
})

test('a row has the medians of its rounds and the smallest and largest of them', () => {
  const row = summarise(
    'ours',
    [sample(100, 10), sample(300, 30), sample(200, 20)],
    [sample(200), sample(300), sample(800)],
  )
  expect(row).toMatchObject({ name: 'ours', ops_per_s: 200, p50_us: 20, p95_us: 2, p99_us: 3, rounds: 3 })
  expect(row.ratio_to_limit).toBe(0.5)
  expect(row.spread).toEqual({ ops_per_s: [100, 300], p50_us: [10, 30], ratio_to_limit: [0.25, 1] })
})

test('a row without a limit has no ratio to it, and carries the medians of what else was measured', () => {
  const samples = [1, 3, 2].map((delay) => ({ ...sample(1), details: { loop_delay_p99_ms: delay } }))
  const row = summarise('ours', samples, null, { note: 'watched' })
  expect(row.ratio_to_limit).toBeNull()
  expect(row.spread.ratio_to_limit).toBeNull()
  expect(row.details).toEqual({ loop_delay_p99_ms: 2, note: 'watched' })
})

test('a target is met by the median of the rounds, at the bound itself too', () => {
  expect(target('rate', { at_least: 0.9 }, [0.8, 0.9, 1])).toMatchObject({
    got: 0.9,
    at_least: 0.9,
    met: true,
    spread: [0.8, 1],
  })
  expect(target('rate', { at_least: 0.9 }, [0.8, 0.89, 1]).met).toBe(false)
  expect(target('time', { at_most: 10 }, [9, 10, 30]).met).toBe(true)
  expect(target('time', { at_most: 10 }, [9, 11, 30]).met).toBe(false)
})

test('a target without a figure is not met', () => {
  expect(target('rate', { at_least: 0.9 }, [Number.NaN]).met).toBe(false)
  expect(target('time', { at_most: 10 }, [Number.NaN]).met).toBe(false)
})
