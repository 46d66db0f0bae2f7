import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findSoftHsm } from 'testkit'
import { useSoftHsm } from 'testkit/vitest'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runProgram } from '../support/command.js'

const softHsm = useSoftHsm()
const cwd = mkdtempSync(join(tmpdir(), 'pkcs11-chaos-readme-'))
afterAll(() => rmSync(cwd, { recursive: true, force: true }))

// the path is Debian's; the test follows SoftHSM to wherever it is
const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8').replaceAll(
  '/usr/lib/softhsm/libsofthsm2.so',
  findSoftHsm(),
)

/** The code blocks of a section, by language. */
function blocks(title: string): { language: string; code: string }[] {
  const [, section = ''] = readme.split(`\n${title}`)
  const [own = ''] = section.split(/\n##+ /)
  return [...own.matchAll(/```(.+)\n([^]*?)```/g)].map(([, language = '', code = '']) => ({ language, code }))
}

const codeOf = (title: string, language: string) =>
  blocks(title).find((block) => block.language === language)?.code ?? ''
const shell = (code: string) => runProgram('bash', ['-euo', 'pipefail', '-c', code], { cwd, env: softHsm.env })

beforeAll(async () => {
  const { status, stderr } = await shell(codeOf('## Three examples', 'sh setup'))
  if (status !== 0) throw new Error(`the example's token could not be made: ${stderr}`)
})

test('the example with pkcs11-tool runs as printed, and ends as it says', async () => {
  const { status, stderr } = await shell(codeOf('### pkcs11-tool', 'sh'))
  expect(status).toBe(1)
  expect(stderr).toContain(codeOf('### pkcs11-tool', 'text').trim())
})

test('the example with OpenSSL runs as printed, and ends as it says; without the rule it signs', async () => {
  const code = codeOf('### OpenSSL', 'sh')
  const { status, stderr } = await shell(code)
  expect(status).toBe(1)
  expect(stderr).toContain(codeOf('### OpenSSL', 'text').trim())
  const signed = await shell(code.replace(/--rule '.*?' /, ''))
  expect(signed.status).toBe(0)
  expect(readFileSync(join(cwd, 'signature'))).toHaveLength(256)
})

test('the example with pkcs11-pool runs and prints as printed', async () => {
  // the PIN's file is where the other examples made it
  const code = codeOf('### pkcs11-pool', 'js').replace("file: 'pin'", `file: ${JSON.stringify(join(cwd, 'pin'))}`)
  const outcome = await runProgram(process.execPath, ['--input-type=module', '--eval', code], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    env: softHsm.env,
  })
  expect(outcome).toEqual({ stdout: codeOf('### pkcs11-pool', 'text'), stderr: '', status: 0 })
})
