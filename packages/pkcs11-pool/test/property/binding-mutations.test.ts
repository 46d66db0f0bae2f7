import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { useSoftHsmToken } from 'testkit/vitest'
import { expect, test } from 'vitest'

const token = useSoftHsmToken({
  keys: [
    { label: 'aes', id: 1 },
    { label: 'rsa', id: 2, type: 'rsa-2048' },
    { label: 'ec', id: 3, type: 'ec-p256' },
  ],
})
const program = fileURLToPath(new URL('../support/mutate-calls.mjs', import.meta.url))
const RUNS = 1_500

test.each([1, 2])(
  'whatever is changed in a call, the module takes it or refuses it, and the process lives (seed %i)',
  async (seed) => {
    const args = [program, String(seed), String(RUNS), token.module, String(token.slot), token.pinFile]
    const { stdout } = await promisify(execFile)(process.execPath, args, { env: { ...process.env, ...token.env } })
    const { answered, failed } = JSON.parse(stdout)
    expect(answered + failed).toBe(RUNS)
    // It is no mutation when nothing is refused, and none that reaches the module when everything is.
    expect(answered).toBeGreaterThan(RUNS / 10)
    expect(failed).toBeGreaterThan(RUNS / 10)
  },
)
