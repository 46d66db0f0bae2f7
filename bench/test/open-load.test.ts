import { expect, test } from 'vitest'
import { callsBy, runOpenLoad } from '../src/harness/open-load.js'

test('a phase offers as many calls as its rate comes to, on a straight line', () => {
  const rise = { name: 'rise', ms: 2_000, from: 100, to: 300 }
  expect(callsBy(rise, 0)).toBe(0)
  expect(callsBy(rise, 1_000)).toBe(150)
  expect(callsBy(rise, 2_000)).toBe(400)
})

test('a burst comes at the beginning of its time, and those of a phase are as many as begin in it', () => {
  const bursts = { name: 'bursts', ms: 300, from: 0, to: 0, burst: { calls: 7, everyMs: 100 } }
  expect([0, 99, 100, 299, 300].map((ms) => callsBy(bursts, ms))).toEqual([7, 7, 14, 21, 21])
})

test('all calls of all phases are made, those of bursts too, and waited for', async () => {
  let made = 0
  let ended = 0
  await runOpenLoad(
    [
      { name: 'steady', ms: 40, from: 1_000, to: 1_000 },
      { name: 'bursts', ms: 30, from: 0, to: 0, burst: { calls: 7, everyMs: 20 } },
    ],
    async () => {
      made += 1
      await new Promise(setImmediate)
      ended += 1
    },
  )
  expect([made, ended]).toEqual([54, 54])
})
