import { CONTENDERS, type ContenderName, startContender } from '../crypto/contender.js'
import { runLimit } from '../crypto/limit.js'
import { OPERATION_TITLES, type OperationName, verifyOutputs } from '../crypto/operations.js'
import { createTokenWithKeys } from '../crypto/token.js'
import type { Context } from '../harness/context.js'
import type { Row, Sample, ScenarioResult, Target } from '../harness/result.js'
import { type Cell, interleave, samplesOf } from '../harness/rounds.js'
import { median, rates, ratios, summarise, target } from '../harness/statistics.js'

const CALLERS = [1, 8, 32]
const LIMIT_THREADS = [1, 2, 4, 8]
const TARGETS: Partial<Record<OperationName, number>> = { aes: 0.9, ecdsa: 0.9 }

/** The library against the C program and against pkcs11js, on one token, at 1, 8 and 32 operations in flight. */
export async function engine(context: Context): Promise<ScenarioResult> {
  const { place, material } = await createTokenWithKeys(context)
  const names = Object.keys(CONTENDERS) as ContenderName[]
  const rows: Row[] = []
  const targets: Target[] = []

  const contenders = []
  for (const callers of CALLERS) {
    for (const name of names) {
      contenders.push({ name, callers, contender: await startContender(context, name, { place, callers }) })
    }
  }

  for (const operation of Object.keys(OPERATION_TITLES) as OperationName[]) {
    const title = OPERATION_TITLES[operation]
    const task = { operation, keys: [operation] }
    const limits: Cell[] = LIMIT_THREADS.map((threads) => ({
      name: limitName(title, threads),
      run: async (window) => {
        const { sample, outputs } = await runLimit(place, task, { ...window, threads })
        verifyOutputs(operation, material[operation], outputs)
        return sample
      },
    }))
    const peers: Cell[] = contenders.map(({ name, callers, contender }) => ({
      name: peerName(title, name, callers),
      run: async (window) => {
        const { sample, outputs } = await contender.run({ ...window, task, watchLoop: false })
        verifyOutputs(operation, material[operation], outputs)
        return sample
      },
    }))
    const samples = await interleave(context, [...limits, ...peers])

    const best = bestThreads(samples, title, Number.POSITIVE_INFINITY)
    const limit = samplesOf(samples, limitName(title, best))
    for (const threads of LIMIT_THREADS) {
      const name = limitName(title, threads)
      rows.push(summarise(name, samplesOf(samples, name), limit, threads === best ? { note: 'the limit' } : {}))
    }
    for (const callers of CALLERS) {
      const threads = bestThreads(samples, title, callers)
      for (const name of names) {
        const row = peerName(title, name, callers)
        const against = samplesOf(samples, limitName(title, threads))
        rows.push(summarise(row, samplesOf(samples, row), against, { limit: `C, ${count(threads, 'thread')}` }))
      }
    }
    const atLeast = TARGETS[operation]
    if (atLeast !== undefined) {
      const ours = samplesOf(samples, peerName(title, 'pkcs11-pool', 32))
      const measure = `${title}, 32 concurrent, against the C limit`
      targets.push(target(measure, { at_least: atLeast }, ratios(rates(ours), rates(limit))))
    }
  }
  return { scenario: 'engine', rows, targets }
}

/** The thread count at which the C program is fastest, among those that have no more threads than there are callers. */
function bestThreads(samples: Map<string, Sample[]>, title: string, callers: number): number {
  const rate = (threads: number) => median(rates(samplesOf(samples, limitName(title, threads))))
  const allowed = LIMIT_THREADS.filter((threads) => threads <= callers)
  return allowed.reduce((best, threads) => (rate(threads) > rate(best) ? threads : best))
}

function limitName(title: string, threads: number): string {
  return `${title}: C, ${count(threads, 'thread')}`
}

function peerName(title: string, name: ContenderName, callers: number): string {
  return `${title}: ${name}, ${callers} concurrent`
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
