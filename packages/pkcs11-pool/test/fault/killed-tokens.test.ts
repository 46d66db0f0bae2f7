import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const program = fileURLToPath(new URL('../../../../scripts/kill-tokens.mjs', import.meta.url))
const KILLS = 3
/** the program's exit status where the machine lacks the token */
const UNAVAILABLE = 3

// `npm run kill-tokens` kills each 50 times, with the breaker's own waits, and stops each for half a minute.
test.for(['p11-kit', 'opencryptoki', 'tpm'])(
  'the process behind %s is killed under load: nothing hangs, no signature is wrong, and each time the client comes back by itself',
  { timeout: 120_000 },
  (token, { skip }) => {
    const patience = ['--stop-ms', '0', '--backoff-ms', '20', '--recovery-ms', '60000']
    const args = [program, '--kills', String(KILLS), '--token', token, ...patience, '--json']
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    if (status === UNAVAILABLE && (process.env.CI ?? '') === '') skip(stderr)
    expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' })
    const [report] = JSON.parse(stdout)
    expect(report).toMatchObject({ kills: KILLS, wrong: 0, hung: 0, unclosed: 0, lost: 0 })
    // Where the module itself keeps calls for ever, only another process helps; it must say so, and be none of ours.
    expect(report.recoveries).toHaveLength(KILLS - report.stuck)
    if (token !== 'p11-kit') expect(report.stuck).toBe(0)
    // it is no load when nothing was signed
    expect(report.signed).toBeGreaterThanOrEqual((KILLS - report.stuck) * 100)
  },
)
