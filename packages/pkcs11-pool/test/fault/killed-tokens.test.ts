import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const program = fileURLToPath(new URL('../../../../scripts/kill-tokens.mjs', import.meta.url))
const KILLS = 3
/** the program's exit status where the machine lacks the token */
const UNAVAILABLE = 3

// `npm run kill-tokens` kills each 50 times, and waits longer for recovery.
test.for(['p11-kit', 'opencryptoki', 'tpm'])(
  'the process behind %s is killed under load: nothing hangs, no signature is wrong, and the program lives',
  { timeout: 120_000 },
  (token, { skip }) => {
    const args = [program, '--kills', String(KILLS), '--token', token, '--recovery-ms', '1000', '--json']
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    if (status === UNAVAILABLE && (process.env.CI ?? '') === '') skip(stderr)
    expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' })
    const [report] = JSON.parse(stdout)
    expect(report).toMatchObject({ kills: KILLS, wrong: 0, hung: 0, unclosed: 0 })
    // it is no load when nothing was signed
    expect(report.signed).toBeGreaterThanOrEqual(KILLS * 100)
  },
)
