import { expect, test } from 'vitest'
import { parseArguments, SCENARIOS } from '../src/arguments.js'

test('every scenario is known by its name, and all of them by all', () => {
  for (const scenario of [...SCENARIOS, 'all'] as const) {
    expect(parseArguments([scenario])).toEqual({ scenario, json: false, quick: false })
  }
})

test('options may stand before or after the scenario', () => {
  expect(parseArguments(['--json', 'pool', '--quick'])).toEqual({ scenario: 'pool', json: true, quick: true })
})

test.each([
  [[], 'got no scenario, expected one of'],
  [['pools'], "got 'pools', expected one of engine, slow, pool, sizing, keys, http, chaos, all"],
  [['pool', 'keys'], "got 'pool keys', expected one of"],
  [['pool', '--jason'], "unknown option '--jason', expected --json or --quick"],
])('%j is refused with what was got and what is expected', (words, problem) => {
  expect(parseArguments(words)).toEqual({ problem: expect.stringContaining(problem) })
})
