import { createWrappedModule, type FunctionName } from 'testkit'
import type { HangReport, HangSetup } from '../contenders/hang.js'
import { type ContenderName, startContender } from '../crypto/contender.js'
import { runLimit } from '../crypto/limit.js'
import { OPERATION_TITLES, verifyOutputs } from '../crypto/operations.js'
import { createTokenWithKeys, type TokenPlace } from '../crypto/token.js'
import { startChild } from '../harness/child.js'
import type { Context } from '../harness/context.js'
import type { Row, Sample, ScenarioResult, Target } from '../harness/result.js'
import { type Cell, interleave, samplesOf } from '../harness/rounds.js'
import { rates, ratios, summarise, target } from '../harness/statistics.js'

const SESSIONS = 32
const DELAY_US = 1_000
const LIMIT = `C, ${SESSIONS} threads`
const PEERS: ContenderName[] = ['pkcs11-pool', 'pkcs11js async']

/** What the contenders call; the rest of the functions would be slow in vain. */
const SLOW_FUNCTIONS: FunctionName[] = [
  ...(['C_GetSlotList', 'C_GetTokenInfo', 'C_OpenSession', 'C_CloseSession', 'C_GetSessionInfo', 'C_Login'] as const),
  ...(['C_FindObjectsInit', 'C_FindObjects', 'C_FindObjectsFinal', 'C_GetAttributeValue'] as const),
  ...(['C_EncryptInit', 'C_Encrypt'] as const),
]

/** The library on a module of which each call takes 1 ms more, as a network HSM's does, and on one whose calls never return. */
export async function slow(context: Context): Promise<ScenarioResult> {
  const { place, material } = await createTokenWithKeys(context)
  const delayed = await measureDelayed(context, place, material.aes)
  const hanging = await measureHanging(context, place)
  return {
    scenario: 'slow',
    rows: [...delayed.rows, ...hanging.rows],
    targets: [...delayed.targets, ...hanging.targets],
  }
}

type Measured = Pick<ScenarioResult, 'rows' | 'targets'>

async function measureDelayed(
  context: Context,
  real: TokenPlace,
  key: Parameters<typeof verifyOutputs>[1],
): Promise<Measured> {
  const wrapped = createWrappedModule(real)
  context.defer(() => wrapped.remove())
  for (const name of SLOW_FUNCTIONS) wrapped.delay(name, DELAY_US)
  const place = { ...real, module: wrapped.module }
  const task = { operation: 'aes', keys: ['aes'] } as const

  const cells: Cell[] = [
    {
      name: LIMIT,
      run: async (window) => {
        const { sample, outputs } = await runLimit(place, task, { ...window, threads: SESSIONS })
        verifyOutputs('aes', key, outputs)
        return sample
      },
    },
  ]
  for (const name of PEERS) {
    const contender = await startContender(context, name, { place, callers: SESSIONS })
    cells.push({
      name,
      run: async (window) => {
        const { sample, outputs } = await contender.run({ ...window, task, watchLoop: true })
        verifyOutputs('aes', key, outputs)
        return sample
      },
    })
  }
  const samples = await interleave(context, cells)
  const limit = samplesOf(samples, LIMIT)
  const ours = rates(samplesOf(samples, 'pkcs11-pool'))
  const title = `+1 ms module, ${SESSIONS} sessions`
  return {
    rows: cells.map(({ name }) =>
      summarise(`${OPERATION_TITLES.aes}, ${title}: ${name}`, samplesOf(samples, name), limit),
    ),
    targets: [
      target(`${title}, against the C limit`, { at_least: 0.95 }, ratios(ours, rates(limit))),
      target(
        `${title}, against pkcs11js async`,
        { at_least: 12 },
        ratios(ours, rates(samplesOf(samples, 'pkcs11js async'))),
      ),
    ],
  }
}

/** Every session's call hangs in the module until its deadline has passed, in each round again. */
async function measureHanging(context: Context, real: TokenPlace): Promise<Measured> {
  const wrapped = createWrappedModule(real)
  context.defer(() => wrapped.remove())
  const operationTimeoutMs = context.plan.quick ? 200 : 1_000
  const child = startChild(context, 'hang.js', { env: real.env })
  const setup: HangSetup = { place: { ...real, module: wrapped.module }, sessions: SESSIONS, operationTimeoutMs }
  await child.call('open', setup)

  const reports: (HangReport & { hanging: number })[] = []
  for (let round = 1; round <= context.plan.rounds; round++) {
    wrapped.hang('C_Encrypt')
    const report = await child.call<HangReport>('hang', null)
    // they still do: nothing but the release below lets them go
    reports.push({ ...report, hanging: wrapped.hanging() })
    wrapped.release()
    await until(() => wrapped.hanging() === 0)
    await child.call('recover', null)
    context.log(
      `round ${round}/${context.plan.rounds}  all ${SESSIONS} calls hang: last rejected ${report.late_max_ms.toFixed(1)} ms late`,
    )
  }

  const samples: Sample[] = reports.map(({ latency, ...details }) => ({ ops_per_s: 0, ...latency, details }))
  const name = `all ${SESSIONS} calls hang: pkcs11-pool, times are from the deadline to the rejection`
  const rows: Row[] = [summarise(name, samples, null, { deadline_ms: operationTimeoutMs })]
  const targets: Target[] = [
    target(
      'event loop delay p99 in ms while every thread is inside a call that hangs',
      { at_most: 10 },
      reports.map((report) => report.loop_delay_p99_ms),
    ),
    target(
      'a call that never returns: ms from its deadline to its rejection, the latest of all',
      { at_most: 50 },
      reports.map((report) => report.late_max_ms),
    ),
  ]
  return { rows, targets }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}
