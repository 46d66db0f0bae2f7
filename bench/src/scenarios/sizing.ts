import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { createWrappedModule, type FunctionName } from 'testkit'
import type { SizingReport, SizingSetup, TracePoint } from '../contenders/sizing.js'
import { verifyOutputs } from '../crypto/operations.js'
import { createTokenWithKeys } from '../crypto/token.js'
import { startChild } from '../harness/child.js'
import type { Context } from '../harness/context.js'
import type { Phase } from '../harness/open-load.js'
import type { ScenarioResult } from '../harness/result.js'
import { interleave, samplesOf } from '../harness/rounds.js'
import { summarise, target } from '../harness/statistics.js'
import { type Chart, lineChart } from '../plot/line-chart.js'

const DELAY_US = 1_000
const SLOW_FUNCTIONS: FunctionName[] = ['C_OpenSession', 'C_CloseSession', 'C_EncryptInit', 'C_Encrypt']
const BASE = { minSize: 2, maxSize: 32 }
/** What is compared: the pool as it comes, and one that opens a session for each caller that waits, at once. */
const VARIANTS = { 'growAfterMs 20': 20, 'growAfterMs 0': 0 } as const
type Variant = keyof typeof VARIANTS
const NAMES = Object.keys(VARIANTS) as Variant[]

const PHASES: Phase[] = [
  { name: 'rise', ms: 4_000, from: 50, to: 1_500 },
  { name: 'steady', ms: 3_000, from: 1_500, to: 1_500 },
  { name: 'bursts', ms: 3_000, from: 1_500, to: 1_500, burst: { calls: 150, everyMs: 1_000 } },
  { name: 'steady', ms: 3_000, from: 1_500, to: 1_500 },
  { name: 'fall', ms: 3_000, from: 1_500, to: 50 },
  { name: 'quiet', ms: 7_000, from: 50, to: 50 },
]
const IDLE_TIMEOUT_MS = 3_000
const DOCS = new URL('../../../docs/', import.meta.url)

/** The size of the pool under a load that rises, bursts and falls, on a module whose calls take 1 ms more, as a network HSM's do. */
export async function sizing(context: Context): Promise<ScenarioResult> {
  const { place, material } = await createTokenWithKeys(context)
  const wrapped = createWrappedModule(place)
  context.defer(() => wrapped.remove())
  for (const name of SLOW_FUNCTIONS) wrapped.delay(name, DELAY_US)
  const child = startChild(context, 'sizing.js', { env: place.env })
  // A load of its own length is a round; the last one is drawn.
  const { quick } = context.plan
  const shrink = quick ? 1 / 40 : 1
  const phases = PHASES.map((phase) => ({ ...phase, ms: phase.ms * shrink }))
  const traces = new Map<Variant, TracePoint[]>()

  const cells = NAMES.map((name) => ({
    name,
    run: async () => {
      const setup: SizingSetup = {
        place: { ...place, module: wrapped.module },
        phases,
        pool: { ...BASE, growAfterMs: VARIANTS[name], idleTimeoutMs: IDLE_TIMEOUT_MS * shrink },
        sampleMs: quick ? 20 : 100,
      }
      const { trace, sample, outputs } = await child.call<SizingReport>('run', setup)
      verifyOutputs('aes', material.aes, outputs)
      traces.set(name, trace)
      return sample
    },
  }))
  const plan = { ...context.plan, rounds: quick ? 1 : 3, settle: false }
  const samples = await interleave({ ...context, plan }, cells)

  if (!quick) await draw(traces, context.log)
  const ours = samplesOf(samples, 'growAfterMs 20')
  const detail = (name: string) => ours.map(({ details }) => details?.[name] ?? Number.NaN)
  return {
    scenario: 'sizing',
    rows: NAMES.map((name) => summarise(`${name}: times are waits for a session`, samplesOf(samples, name), null)),
    targets: [
      // It goes up with the rise, down to what the steady load needs, up with the bursts, and down.
      target('turns of the size under a load that rises, bursts and falls', { at_most: 3 }, detail('turns')),
      target('sessions left when all is quiet', { at_most: BASE.minSize }, detail('size_at_end')),
    ],
  }
}

async function draw(traces: ReadonlyMap<Variant, TracePoint[]>, log: Context['log']): Promise<void> {
  const files = { trace: new URL('sizing-trace.json', DOCS), plot: new URL('sizing.svg', DOCS) }
  const lines = [...traces].map(([name, trace]) => `  "${name}": [\n${trace.map(formatPoint).join(',\n')}\n  ]`)
  await writeFile(files.trace, `{\n${lines.join(',\n')}\n}\n`)
  await writeFile(files.plot, lineChart(chartOf(traces)))
  for (const file of Object.values(files)) log(`wrote ${fileURLToPath(file)}`)
}

/** A point a line, as the formatter leaves it. */
function formatPoint(point: TracePoint): string {
  const members = Object.entries(point).map(([name, value]) => `"${name}": ${value}`)
  return `    { ${members.join(', ')} }`
}

function chartOf(traces: ReadonlyMap<Variant, TracePoint[]>): Chart {
  const line = (name: Variant, value: (point: TracePoint) => number) =>
    (traces.get(name) ?? []).map((point) => [point.ms / 1_000, value(point)] as const)
  let begin = 0
  const phases = PHASES.map(({ name, ms }) => {
    const x = begin
    begin += ms / 1_000
    return { name, x }
  })
  return {
    title: `A pool of ${BASE.minSize} to ${BASE.maxSize} sessions on a module whose calls take 1 ms more`,
    xTitle: 'seconds',
    xMax: begin,
    phases,
    panels: [
      {
        title: 'calls a second',
        series: [
          { name: 'offered', colour: '#555555', points: line('growAfterMs 20', (point) => point.offered_per_s) },
        ],
      },
      ...NAMES.map((name) => ({
        title: `sessions, ${name}`,
        series: [
          { name: 'most in use', colour: '#1f77b4', points: line(name, (point) => point.in_use) },
          { name: 'in the pool', colour: '#d62728', steps: true, points: line(name, (point) => point.size) },
        ],
      })),
      {
        title: 'longest wait for a session, ms',
        series: [
          {
            name: 'growAfterMs 20',
            colour: '#2ca02c',
            points: line('growAfterMs 20', (point) => point.longest_wait_ms),
          },
          { name: 'growAfterMs 0', colour: '#9467bd', points: line('growAfterMs 0', (point) => point.longest_wait_ms) },
        ],
      },
    ],
  }
}
