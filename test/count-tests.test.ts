import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'

const directory = mkdtempSync(join(tmpdir(), 'count-tests-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

function count(report: string, status: number): string {
  const file = join(directory, 'report.json')
  writeFileSync(file, report)
  const script = fileURLToPath(new URL('../scripts/count-tests.mjs', import.meta.url))
  return execFileSync(process.execPath, [script, file, String(status)], { encoding: 'utf8' }).trim()
}

function report(files: string[][], broken = 0): string {
  const outcomes = files.flat()
  return JSON.stringify({
    numPassedTests: outcomes.filter((outcome) => outcome === 'passed').length,
    numFailedTests: outcomes.filter((outcome) => outcome === 'failed').length,
    testResults: [
      ...files.map((each) => ({
        status: each.includes('failed') ? 'failed' : 'passed',
        assertionResults: each.map((status) => ({ status })),
      })),
      ...Array.from({ length: broken }, () => ({ status: 'failed', assertionResults: [] })),
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
