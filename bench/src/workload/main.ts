import { withContext } from '../harness/context.js'
import { describeMachine } from '../harness/machine.js'
import { align } from '../table.js'
import { parseWorkloadArguments, WORKLOAD_USAGE, type WorkloadArguments } from './arguments.js'
import { type Part, runWorkload, type WorkloadReport } from './run.js'

/** What the service aims at: decrypting with AES, in milliseconds at the 95th percentile, at 1,000 requests a second. */
const AIM_MS = 5
const MOST_SHOWN = 20

async function main(asked: WorkloadArguments): Promise<void> {
  const machine = describeMachine()
  const log = (message: string) => process.stderr.write(`${message}\n`)
  const report = await withContext('workload', { quick: false, log }, (context) => runWorkload(context, asked))
  const decrypt = report.steady.rows.find(({ name }) => name === 'decrypt, AES')?.p95_ms ?? Number.NaN
  const aim = {
    measure: `decrypt p95 at ${asked.rate} a second`,
    at_most: AIM_MS,
    got: decrypt,
    met: decrypt <= AIM_MS,
  }
  const text = asked.json ? JSON.stringify({ machine, asked, aim, ...report }) : describe(report, asked)
  process.stdout.write(`${text}\n`)
  if (!asked.json)
    process.stdout.write(`${aim.measure}: ${decrypt} ms, aim ${AIM_MS}: ${aim.met ? 'met' : 'NOT MET'}\n`)
  if (report.wrong.length > 0) process.exitCode = 1
}

function describe(report: WorkloadReport, { rate, callers }: WorkloadArguments): string {
  const { closed, steady, beside, rotation, answers, proven, wrong, audit } = report
  return [
    ...(closed === undefined ? [] : [describePart(`${callers} callers`, closed)]),
    describePart(`${rate} a second`, steady),
    describePart(`${rate} a second beside the rotation`, beside),
    describePart('the rotation', rotation),
    `rotation: ${Object.entries(rotation.times)
      .map(([step, ms]) => `${step} ${ms}`)
      .join(', ')}`,
    `${answers} answers, ${proven} of them proven on the token, ${wrong.length} wrong`,
    ...wrong.slice(0, MOST_SHOWN),
    audit,
  ].join('\n')
}

function describePart(title: string, { seconds, answers, errors, rows }: Part): string {
  const header = [title, 'answers', 'p50 ms', 'p95 ms', 'p99 ms', 'max ms', '']
  const lines = rows.map(({ name, answers, p50_ms, p95_ms, p99_ms, max_ms }) => [
    name,
    ...[answers, p50_ms, p95_ms, p99_ms, max_ms].map(String),
    '',
  ])
  const codes = Object.entries(errors).map(([code, count]) => `${code} ${count}`)
  return [
    align([header, ...lines]),
    `${answers} answers in ${seconds} s, ${Math.round(answers / seconds)} a second; errors: ${codes.join(', ') || 'none'}`,
    '',
  ].join('\n')
}

const asked = parseWorkloadArguments(process.argv.slice(2))
if ('problem' in asked) {
  process.stderr.write(`${asked.problem}\n\n${WORKLOAD_USAGE}`)
  process.exitCode = 2
} else if ('help' in asked) process.stdout.write(WORKLOAD_USAGE)
else await main(asked)
