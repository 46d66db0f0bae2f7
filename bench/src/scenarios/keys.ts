import { type Contender, startContender } from '../crypto/contender.js'
import { type Measured, runLimit } from '../crypto/limit.js'
import type { Task } from '../crypto/operations.js'
import { createToken } from '../crypto/token.js'
import type { Context } from '../harness/context.js'
import type { Row, ScenarioResult, Target } from '../harness/result.js'
import { type Cell, interleave, samplesOf } from '../harness/rounds.js'
import { rates, ratios, summarise, target } from '../harness/statistics.js'

/**
 * How many keys are used in turn, however many there are: to find one by its label takes SoftHSM about 30 µs for each key on the
 * token, so that finding all of 10,000 first would take most of an hour.
 */
const IN_TURN = 10

/** Encrypting by label, with ever more keys on the token. */
export async function keys(context: Context): Promise<ScenarioResult> {
  const counts = context.plan.quick ? [10, 100] : [10, 100, 1_000, 10_000]
  const cells: Cell[] = []
  const names: { count: number; ours: string; limit: string; firstMs: number }[] = []

  for (const count of counts) {
    context.log(`making a token with ${count} keys`)
    const token = await createToken(context, `keys-${count}`)
    await token.fill('key-', count)
    const task: Task = {
      operation: 'aes',
      keys: Array.from({ length: IN_TURN }, (_, index) => `key-${Math.floor((index * count) / IN_TURN)}`),
    }
    const contender = await startContender(context, 'pkcs11-pool', { place: token.place, callers: 1 })
    const firstMs = await timeFirstUse(contender, task)
    context.log(`the first use of a key took ${Math.round(firstMs)} ms on average`)
    const title = `${count} keys`
    const ours = `${title}: pkcs11-pool, by label`
    const limit = `${title}: C, 1 thread, by handle`
    names.push({ count, ours, limit, firstMs })
    const agree = outputsAgree(task)
    cells.push(
      {
        name: limit,
        run: async (window) => agree(await runLimit(token.place, task, { ...window, threads: 1 })),
      },
      {
        name: ours,
        run: async (window) => agree(await contender.run({ ...window, task, watchLoop: false })),
      },
    )
  }

  const samples = await interleave(context, cells)
  const rows: Row[] = names.flatMap(({ ours, limit, firstMs }) => {
    const limitSamples = samplesOf(samples, limit)
    return [
      summarise(limit, limitSamples, limitSamples),
      summarise(ours, samplesOf(samples, ours), limitSamples, {
        keys_in_turn: IN_TURN,
        first_use_ms: Number(firstMs.toPrecision(3)),
      }),
    ]
  })
  const few = rates(samplesOf(samples, names[0]?.ours ?? ''))
  const most = names.at(-1)
  const many = rates(samplesOf(samples, most?.ours ?? ''))
  const targets: Target[] = [
    target(
      `time to encrypt by label with ${most?.count} keys, against ${counts[0]} keys`,
      { at_most: 1.1 },
      ratios(few, many),
    ),
  ]
  return { scenario: 'keys', rows, targets }
}

/** Each key once, none of them found before: the mean time in milliseconds. */
async function timeFirstUse(contender: Contender, task: Task): Promise<number> {
  let total = 0
  for (const key of task.keys) {
    const begun = performance.now()
    await contender.run({ task: { ...task, keys: [key] }, warmupMs: 0, measureMs: 0, watchLoop: false })
    total += performance.now() - begun
  }
  return total / task.keys.length
}

/** The keys never leave the token, but whoever uses one must come to the same ciphertext. */
function outputsAgree(task: Task): (measured: Measured) => Measured['sample'] {
  const known = new Map<string, string>()
  return ({ sample, outputs }) => {
    for (const { key, bytes } of outputs) {
      const label = task.keys[key] ?? ''
      const hex = Buffer.from(bytes).toString('hex')
      if ((known.get(label) ?? hex) !== hex)
        throw new Error(`contenders disagree on what ${label} gives: ${hex} and ${known.get(label)}`)
      known.set(label, hex)
    }
    return sample
  }
}
