import { type Arguments, parseArguments, SCENARIOS, type ScenarioName, USAGE } from './arguments.js'
import { type Context, withContext } from './harness/context.js'
import { describeMachine, type Machine } from './harness/machine.js'
import { buildPkcs11js } from './harness/native.js'
import type { ScenarioResult } from './harness/result.js'
import { formatResult } from './table.js'

/** Loaded one by one, because what some need (SoftHSM, pkcs11js, the built addon) others do without. */
const scenarios: Record<ScenarioName, () => Promise<(context: Context) => Promise<ScenarioResult>>> = {
  engine: async () => (await import('./scenarios/engine.js')).engine,
  slow: async () => (await import('./scenarios/slow.js')).slow,
  pool: async () => (await import('./scenarios/pool.js')).pool,
  sizing: async () => (await import('./scenarios/sizing.js')).sizing,
  keys: async () => (await import('./scenarios/keys.js')).keys,
  http: async () => (await import('./scenarios/http.js')).http,
  chaos: async () => (await import('./scenarios/chaos.js')).chaos,
}

async function run(name: ScenarioName, quick: boolean): Promise<ScenarioResult> {
  const scenario = await scenarios[name]()
  return withContext(name, { quick, log }, scenario)
}

function log(message: string): void {
  process.stderr.write(`${message}\n`)
}

function printTables(machine: Machine, results: readonly ScenarioResult[]): void {
  const facts = Object.entries(machine).map(([key, value]) => `${key} ${value}`)
  process.stdout.write(`${facts.join(', ')}\n\n${results.map(formatResult).join('\n')}`)
}

async function main({ scenario, json, quick }: Arguments): Promise<void> {
  const machine = describeMachine()
  if (machine.load_average > 0.3 * machine.cpus) {
    log(`the machine is busy (load average ${machine.load_average.toFixed(2)}): absolute figures will be too low`)
  }
  await buildPkcs11js(log)
  const results: ScenarioResult[] = []
  for (const name of scenario === 'all' ? SCENARIOS : [scenario]) results.push(await run(name, quick))
  if (!json) printTables(machine, results)
  else if (scenario === 'all') process.stdout.write(`${JSON.stringify({ scenario, machine, scenarios: results })}\n`)
  else process.stdout.write(`${JSON.stringify({ scenario, machine, ...results[0] })}\n`)
}

const asked = parseArguments(process.argv.slice(2))
if ('problem' in asked) {
  process.stderr.write(`${asked.problem}\n\n${USAGE}`)
  process.exitCode = 2
} else {
  await main(asked)
}
