import { startChild } from '../harness/child.js'
import type { Context } from '../harness/context.js'
import type { Row, Sample, ScenarioResult, Target } from '../harness/result.js'
import { type Cell, interleave, samplesOf } from '../harness/rounds.js'
import { rates, ratios, summarise, target } from '../harness/statistics.js'

/** All wait at most 10 s, as ours does by default; generic-pool and lightning-pool also as they come, waiting for ever. */
export const POOLS = [
  'pkcs11-pool',
  'generic-pool',
  'generic-pool, no timeout',
  'tarn',
  'lightning-pool',
  'lightning-pool, no timeout',
] as const
export type PoolName = (typeof POOLS)[number]

const OURS: PoolName = 'pkcs11-pool'
const COMPARED: PoolName[] = ['generic-pool', 'generic-pool, no timeout']
const CALLERS = [1, 32]

/** Acquire and release of resources that cost nothing: what the pools themselves take. */
export async function pool(context: Context): Promise<ScenarioResult> {
  const rows: Row[] = []
  const targets: Target[] = []
  for (const callers of CALLERS) {
    const cells: Cell[] = []
    for (const name of POOLS) {
      const child = startChild(context, 'pools.js', { arguments: [name] })
      await child.call('check', callers)
      cells.push({ name: rowName(name, callers), run: (window) => child.call<Sample>('run', { ...window, callers }) })
    }
    const samples = await interleave(context, cells)
    const ours = rates(samplesOf(samples, rowName(OURS, callers)))
    for (const { name } of cells) rows.push(summarise(name, samplesOf(samples, name), null))
    // against the faster of the two ways to set generic-pool up, in each round
    const theirs = COMPARED.map((name) => rates(samplesOf(samples, rowName(name, callers))))
    const fastest = ours.map((_, round) => Math.max(...theirs.map((other) => other[round] ?? Number.NaN)))
    const measure = `acquire + release, ${callers === 1 ? 'one caller' : `${callers} callers`}, against generic-pool`
    targets.push(target(measure, { at_least: 2 }, ratios(ours, fastest)))
  }
  return { scenario: 'pool', rows, targets }
}

function rowName(name: PoolName, callers: number): string {
  return `${name}: ${callers === 1 ? '1 caller' : `${callers} callers on 10`}`
}
