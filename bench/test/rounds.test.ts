import { expect, test } from 'vitest'
import { withContext } from '../src/harness/context.js'
import { interleave, samplesOf } from '../src/harness/rounds.js'

const SAMPLE = { p50_us: 1, p95_us: 1, p99_us: 1 }

test('cells run in turn, round by round, and the settling turn is not counted', async () => {
  const order: string[] = []
  const cell = (name: string) => ({
    name,
    run: async () => {
      order.push(name)
      return { ...SAMPLE, ops_per_s: order.length }
    },
  })
  const plan = { quick: true, rounds: 2, settle: true, window: { warmupMs: 0, measureMs: 0 } }
  const context = { plan, directory: '', log: () => undefined, defer: () => undefined }
  const samples = await interleave(context, [cell('a'), cell('b')])

  expect(order).toEqual(['a', 'b', 'a', 'b', 'a', 'b'])
  expect(samplesOf(samples, 'a').map((sample) => sample.ops_per_s)).toEqual([3, 5])
  expect(() => samplesOf(samples, 'c')).toThrow("no samples of 'c' were taken")
})

test('what a scenario defers is undone in reverse order, also when it fails', async () => {
  const undone: number[] = []
  const failing = withContext('failing', { quick: true, log: () => undefined }, async (context) => {
    context.defer(() => undone.push(1))
    context.defer(() => undone.push(2))
    throw new Error('broken')
  })
  await expect(failing).rejects.toThrow('broken')
  expect(undone).toEqual([2, 1])
})
