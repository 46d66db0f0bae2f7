import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { useSoftHsmToken } from 'testkit/vitest'
import { expect, test } from 'vitest'

const token = useSoftHsmToken({ keys: [{ label: 'k' }] })
const program = fileURLToPath(new URL('../support/fuzz-binding.mjs', import.meta.url))
const RUNS = 600

test.each([1, 2, 3])(
  'whatever the addon is called with, it throws an Error or answers each job once, and the process lives (seed %i)',
  async (seed) => {
    const args = [program, String(seed), String(RUNS), token.module, String(token.slot), token.pinFile]
    const { stdout } = await promisify(execFile)(process.execPath, args, { env: { ...process.env, ...token.env } })
    const counts = JSON.parse(stdout)
    expect(counts.problems).toEqual([])
    expect(counts.accepted).toBe(counts.completed + counts.cancelled)
    // It is no fuzzing when everything is refused, or nothing.
    expect(counts.accepted).toBeGreaterThan(RUNS)
    expect(counts.refused).toBeGreaterThan(RUNS)
  },
)
