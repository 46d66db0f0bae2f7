import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { SCENARIOS } from '../src/arguments.js'
import type { Row, ScenarioResult, Target } from '../src/harness/result.js'

const run = promisify(execFile)
const program = fileURLToPath(new URL('../run.mjs', import.meta.url))

/** How many rows and targets each scenario has, when run quickly. */
const SIZES = {
  engine: { rows: 3 * (4 + 3 * 3), targets: 2 },
  slow: { rows: 4, targets: 4 },
  pool: { rows: 12, targets: 2 },
  sizing: { rows: 2, targets: 2 },
  keys: { rows: 4, targets: 1 },
  http: { rows: 16, targets: 4 },
  chaos: { rows: 2 * 3 * 3, targets: 3 },
}

describe.each(SCENARIOS)('the scenario %s, run quickly', (scenario) => {
  // What each contender computed was verified by the scenario itself, which fails otherwise; no figure is judged here.
  test('prints one JSON object with its rows and targets, and leaves nothing behind', { timeout: 60_000 }, async () => {
    const running = run(process.execPath, [program, scenario, '--json', '--quick'])
    const { stdout } = await running
    const result = JSON.parse(stdout) as ScenarioResult & { machine: Record<string, unknown> }

    expect(result.scenario).toBe(scenario)
    expect(result.machine).toMatchObject({ cpus: expect.any(Number), node: process.version })
    expect({ rows: result.rows.length, targets: result.targets.length }).toEqual(SIZES[scenario])
    expect(new Set(result.rows.map((row) => row.name)).size).toBe(result.rows.length)
    result.rows.forEach(checkRow)
    result.targets.forEach(checkTarget)
    expect(leftBy(running.child.pid)).toEqual([])
  })
})

test('an unknown scenario is refused with the usage', async () => {
  const failure: unknown = await run(process.execPath, [program, 'everything']).catch((error: unknown) => error)
  expect(failure).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining("got 'everything'") })
})

function checkRow(row: Row): void {
  expect(row.rounds).toBe(1)
  expect(row.ops_per_s).toBeGreaterThanOrEqual(0)
  expect(row.p50_us).toBeLessThanOrEqual(row.p95_us)
  expect(row.p95_us).toBeLessThanOrEqual(row.p99_us)
  expect(row.spread.ops_per_s).toEqual([row.ops_per_s, row.ops_per_s])
}

function checkTarget(target: Target): void {
  expect(target.got).toEqual(expect.any(Number))
  expect(target.at_least ?? target.at_most).toEqual(expect.any(Number))
  expect(target.met).toEqual(expect.any(Boolean))
}

function leftBy(pid: number | undefined): string[] {
  const directories = [tmpdir(), '/dev/shm'].filter((directory) => existsSync(directory))
  return directories
    .flatMap((directory) => readdirSync(directory))
    .filter((name) => name.startsWith(`pkcs11-pool-bench-${pid}-`))
}
