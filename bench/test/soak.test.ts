import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { parseSoakArguments } from '../src/soak/arguments.js'
import { slopePerHour } from '../src/soak/samples.js'

const run = promisify(execFile)
const program = fileURLToPath(new URL('../dist/soak/main.js', import.meta.url))

describe('the soak', () => {
  test('run for one fault and an instant answers nothing wrong and leaves nothing open', {
    timeout: 60_000,
  }, async () => {
    const { stdout } = await run(process.execPath, ['--expose-gc', program, '--minutes', '0.01', '--json'])
    const report = JSON.parse(stdout) as Record<string, unknown>
    expect(report).toMatchObject({ complaints: [], faults: 1, leftOpen: 0, rejectedLogins: 0, misuse: [] })
    expect(report).toMatchObject({ tally: { wrong: [], unexpected: [], right: expect.any(Number) } })
  })

  test('says what is wrong with its command line', () => {
    expect(parseSoakArguments(['--minutes', 'x'])).toEqual({ problem: '--minutes is "x", expected a number above 0' })
    expect(parseSoakArguments(['--minute'])).toMatchObject({ problem: expect.stringContaining("'--minute'") })
    expect(parseSoakArguments(['--minutes', '5', '--seed', '3', '--json'])).toEqual({ minutes: 5, seed: 3, json: true })
  })
})

const after = (fault: string, value: number) => ({ after: fault, value })

describe('a slope', () => {
  test('is the rise of the later half an hour', () => {
    const samples = [9, 9, 9, 9, 1, 2, 3, 4].map((value) => after('any', value))
    expect(slopePerHour(samples, 3_600_000)).toBeCloseTo(1)
    expect(
      slopePerHour(
        [1, 2, 3, 4, 5, 6, 7].map((value) => after('any', value)),
        1_800_000,
      ),
    ).toBeCloseTo(2)
    expect(slopePerHour([after('any', 1)], 10_000)).toBe(0)
  })

  test('is that between samples after the same fault, whatever the faults leave behind', () => {
    const faults = [15, 22, 18, 15, 15, 22, 22, 18, 15, 22, 18, 22, 22, 22, 18, 22]
    const flat = faults.map((threads) => after(String(threads), threads))
    expect(slopePerHour(flat, 10_000)).toBe(0)
    const leaking = faults.map((threads, at) => after(String(threads), threads + at))
    expect(slopePerHour(leaking, 3_600_000)).toBeCloseTo(1)
  })

  test('is not turned by one sample that stands out', () => {
    const samples = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 50].map((value) => after('any', value))
    expect(slopePerHour(samples, 10_000)).toBe(0)
  })
})
