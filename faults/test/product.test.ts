import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { parseArguments } from '../src/arguments.js'

const program = fileURLToPath(new URL('../run.mjs', import.meta.url))
const run = (...words: string[]) => promisify(execFile)(process.execPath, [program, ...words], { maxBuffer: 1 << 26 })

test('in a part of the product, the same each time, every invariant holds', { timeout: 180_000 }, async () => {
  const { stdout } = await run('--json', '--sample', '60', '--seed', '1', '--workers', '2')
  const summary: unknown = JSON.parse(stdout)
  expect(summary).toMatchObject({ cells: 60, violations: [], promises: { unsettled: 0 } })
})

test('an option that there is not is refused', async () => {
  await expect(run('--cells', '3')).rejects.toMatchObject({ code: 2 })
  expect(parseArguments(['--seed', 'x'])).toMatchObject({ problem: expect.stringContaining('whole number') as string })
  expect(parseArguments(['--seed', '3', '--cell', 'C_Sign', '--cell', 'busy'])).toMatchObject({
    seed: 3,
    cells: ['C_Sign', 'busy'],
  })
})
