import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'

const directory = mkdtempSync(join(tmpdir(), 'count-tests-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

function run(report: string, status: number): { stdout: string; stderr: string } {
  const file = join(directory, 'report.json')
  writeFileSync(file, report)
  const script = fileURLToPath(new URL('../scripts/count-tests.mjs', import.meta.url))
  return spawnSync(process.execPath, [script, file, String(status)], { encoding: 'utf8' })
}

const count = (report: string, status: number) => run(report, status).stdout.trim()

function report(files: string[][], broken = 0): string {
  const outcomes = files.flat()
  return JSON.stringify({
    numPassedTests: outcomes.filter((outcome) => outcome === 'passed').length,
    numFailedTests: outcomes.filter((outcome) => outcome === 'failed').length,
    testResults: [
      ...files.map((each, file) => ({
        name: `/f${file}.test.ts`,
        status: each.includes('failed') ? 'failed' : 'passed',
        assertionResults: each.map((status, at) => ({
          status,
          fullName: `test ${at}`,
          failureMessages: status === 'failed' ? ['Error: got 1\n    at x'] : [],
        })),
      })),
      ...Array.from({ length: broken }, () => ({ name: '/broken.test.ts', status: 'failed', assertionResults: [] })),
    ],
  })
}

test('tests are counted over all files', () => {
  expect(count(report([['passed', 'passed'], ['passed']]), 0)).toBe('3 0')
  expect(count(report([['passed', 'failed'], ['failed']]), 1)).toBe('1 2')
})

test('a file that could not be run counts as one failed', () => {
  expect(count(report([['passed']], 2), 1)).toBe('1 2')
})

test('a run that fails without a failed test counts as one failed', () => {
  expect(count(report([['passed']]), 1)).toBe('1 1')
})

test('a report that is not there or cut off counts as one failed', () => {
  expect(count('', 1)).toBe('0 1')
  expect(count('{"numPassedTests": 3', 0)).toBe('0 1')
})

test('what failed is named with its message, and a run that failed without naming one is said to', () => {
  expect(run(report([['passed', 'failed'], ['passed']], 1), 1).stderr).toBe(
    'FAILED: /broken.test.ts could not be run\nFAILED: /f0.test.ts: test 1: Error: got 1     at x\n',
  )
  expect(run(report([['passed']]), 1).stderr).toMatch(/^FAILED: no test, but the run ended with status 1/)
  expect(run(report([['passed']]), 0).stderr).toBe('')
})
