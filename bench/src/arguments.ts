export const SCENARIOS = ['engine', 'slow', 'pool', 'sizing', 'keys', 'http', 'chaos'] as const
export type ScenarioName = (typeof SCENARIOS)[number]

export interface Arguments {
  scenario: ScenarioName | 'all'
  json: boolean
  quick: boolean
}

export const USAGE = `usage: npm run -s bench -- SCENARIO [--json] [--quick]

  engine   the library, a C program and pkcs11js on one SoftHSM token, at 1, 8 and 32 at a time
  slow     a module that takes 1 ms more a call, and one whose calls never return
  pool     acquire and release against generic-pool, tarn and lightning-pool
  sizing   the pool's size under a load that rises, bursts and falls; writes docs/sizing-trace.json and docs/sizing.svg
  keys     encrypting by label with 10 to 10,000 keys on the token
  http     the service: a session per request against the pool
  chaos    what the fault proxy costs: a C program with it and without
  all      each of them

  --json   one JSON object on stdout in place of tables
  --quick  one short round: shows that everything works, its figures mean nothing
`

/** Reads the command line, or says what is wrong with it. */
export function parseArguments(words: readonly string[]): Arguments | { problem: string } {
  const flags = words.filter((word) => word.startsWith('-'))
  const unknown = flags.find((flag) => flag !== '--json' && flag !== '--quick')
  if (unknown !== undefined) return { problem: `unknown option '${unknown}', expected --json or --quick` }
  const [scenario, ...more] = words.filter((word) => !word.startsWith('-'))
  const known = [...SCENARIOS, 'all'] as const
  const found = known.find((name) => name === scenario)
  if (found === undefined || more.length > 0) {
    const got = scenario === undefined ? 'no scenario' : `'${[scenario, ...more].join(' ')}'`
    return { problem: `got ${got}, expected one of ${known.join(', ')}` }
  }
  return { scenario: found, json: flags.includes('--json'), quick: flags.includes('--quick') }
}
