import { setTimeout as sleep } from 'node:timers/promises'
import { createChaos } from 'pkcs11-chaos'
import { createClient } from 'pkcs11-pool'
import { createTokenWithKeys } from '../crypto/token.js'
import { type Context, withContext } from '../harness/context.js'
import { describeMachine } from '../harness/machine.js'
import { parseSoakArguments, SOAK_USAGE, type SoakArguments } from './arguments.js'
import { FAULTS } from './faults.js'
import { call, type Tally } from './load.js'
import { type Held, type HeldName, held, MOST_PER_HOUR, slopePerHour } from './samples.js'

const CALLERS = 16
const FAULT_MS = 4_000
const CALM_MS = 6_000
const MOST_SHOWN = 20

interface Report {
  minutes: number
  seed: number
  tally: Tally
  faults: number
  /** faults after which no call was answered again before the next one */
  notRecovered: string[]
  misuse: unknown[]
  rejectedLogins: number
  leftOpen: number
  first: Held | undefined
  last: Held | undefined
  slopes: Partial<Record<HeldName, number>>
}

async function soak(context: Context, { minutes, seed }: SoakArguments): Promise<Report> {
  const { place, material } = await createTokenWithKeys(context)
  Object.assign(process.env, place.env)
  const chaos = createChaos({ module: place.module })
  context.defer(() => chaos.close())
  const client = await createClient({
    module: chaos.modulePath,
    token: { label: place.label },
    pin: { file: place.pinFile },
    pool: { maxSize: 8, operationTimeoutMs: 1_000, acquireTimeoutMs: 2_000 },
    breaker: { initialBackoffMs: 100, maxBackoffMs: 1_000 },
    health: { probeIntervalMs: 1_000 },
  })
  const tally: Tally = { right: 0, wrong: [], failed: {}, unexpected: [] }
  const random = randomFrom(seed)
  let stopped = false
  const callers = Array.from({ length: CALLERS }, () => call(client, material, tally, random, () => stopped))

  const until = Date.now() + minutes * 60_000
  const samples: { after: string; now: Held }[] = []
  const notRecovered: string[] = []
  let faults = 0
  while (Date.now() < until) {
    const fault = FAULTS[Math.floor(random() * FAULTS.length)] ?? FAULTS[0]
    if (fault === undefined) break
    await fault.begin(chaos)
    await sleep(FAULT_MS)
    await fault.end(chaos)
    await chaos.release()
    faults += 1
    const before = tally.right
    await sleep(CALM_MS)
    if (tally.right === before) notRecovered.push(fault.name)
    const now = held((await chaos.counters()).sessions.open)
    samples.push({ after: fault.name, now })
    context.log(describe(fault.name, now, tally))
  }
  stopped = true
  await Promise.all(callers)
  await client.close()
  const counters = await chaos.counters()
  const slopes: Report['slopes'] = {}
  for (const name of Object.keys(MOST_PER_HOUR) as HeldName[]) {
    slopes[name] = slopePerHour(
      samples.map(({ after, now }) => ({ after, value: now[name] })),
      FAULT_MS + CALM_MS,
    )
  }
  return {
    minutes,
    seed,
    tally,
    faults,
    notRecovered,
    misuse: await chaos.misuse(),
    rejectedLogins: counters.logins.rejected,
    leftOpen: counters.sessions.open,
    first: samples[0]?.now,
    last: samples.at(-1)?.now,
    slopes,
  }
}

function describe(fault: string, now: Held, { right, wrong, failed }: Tally): string {
  const figures = Object.entries(now).map(([name, value]) => `${name} ${Math.round(value * 10) / 10}`)
  const failures = Object.values(failed).reduce((sum, count) => sum + count, 0)
  return `${right} right, ${wrong.length} wrong, ${failures} failed; ${figures.join(', ')} (after: ${fault})`
}

/** What is not as it has to be; a slope only where the run was long enough to have one. */
function complaints(report: Report): string[] {
  const { tally, notRecovered, misuse, rejectedLogins, leftOpen, slopes, minutes } = report
  const found = [
    ...tally.wrong.map((what) => `a wrong answer: ${what}`),
    ...tally.unexpected.map((what) => `not an error of the library's: ${what}`),
    ...notRecovered.map((fault) => `nothing was answered after: ${fault}`),
    ...misuse.map((what) => `misuse: ${JSON.stringify(what)}`),
  ]
  if (tally.right === 0) found.push('no call was answered')
  if (rejectedLogins > 0) found.push(`${rejectedLogins} logins were rejected`)
  if (leftOpen > 0) found.push(`${leftOpen} sessions were left open`)
  if (minutes < 10) return found
  for (const [name, most] of Object.entries(MOST_PER_HOUR) as [HeldName, number][]) {
    const slope = slopes[name] ?? 0
    if (slope > most) found.push(`${name} rises by ${slope.toFixed(1)} an hour, at most ${most} is allowed`)
  }
  return found
}

/** The same numbers for the same seed (a linear congruential generator with the constants of Numerical Recipes). */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

async function main(asked: SoakArguments): Promise<void> {
  const log = (message: string) => process.stderr.write(`${message}\n`)
  const report = await withContext('soak', { quick: false, log }, (context) => soak(context, asked))
  const found = complaints(report)
  if (asked.json)
    process.stdout.write(`${JSON.stringify({ machine: describeMachine(), ...report, complaints: found })}\n`)
  else {
    process.stdout.write(
      `${report.faults} faults in ${report.minutes} minutes, ${report.tally.right} answers verified\n`,
    )
    process.stdout.write(`failed, by code: ${JSON.stringify(report.tally.failed)}\n`)
    for (const [name, slope] of Object.entries(report.slopes)) {
      process.stdout.write(`${name}: ${report.first?.[name as HeldName].toFixed(1)} at first, `)
      process.stdout.write(`${report.last?.[name as HeldName].toFixed(1)} at last, ${slope.toFixed(2)} more an hour\n`)
    }
    process.stdout.write(
      found.length === 0
        ? 'all is flat and right\n'
        : `${found.slice(0, MOST_SHOWN).join('\n')}\n${found.length} complaints\n`,
    )
  }
  if (found.length > 0) process.exitCode = 1
}

const asked = parseSoakArguments(process.argv.slice(2))
if ('problem' in asked) {
  process.stderr.write(`${asked.problem}\n\n${SOAK_USAGE}`)
  process.exitCode = 2
} else {
  await main(asked)
}
