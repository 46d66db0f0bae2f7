import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { createSoftHsm, findSoftHsm, pkcs11Tool } from 'testkit'
import { afterAll, expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
const softHsm = createSoftHsm()
const demo = softHsm.createToken({ label: 'demo' })
const members = ['east', 'west'].map((label) => softHsm.createToken({ label, pin: demo.pin }))
afterAll(softHsm.remove)

/** The first example under a heading, run as printed. */
function run(heading: string): { stdout: string; stderr: string; status: number | null } {
  const [, section = ''] = readme.split(`\n${heading}\n`)
  const [, example = ''] = /```js\n(.*?)```/s.exec(section) ?? []
  expect(example).toContain("'/usr/lib/softhsm/libsofthsm2.so'")
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-'], {
    // the path is Debian's; the test follows SoftHSM to wherever it is
    input: example.replace('/usr/lib/softhsm/libsofthsm2.so', findSoftHsm()),
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, ...softHsm.env, HSM_PIN: demo.pin },
  })
  return { stdout, stderr, status }
}

test('the README’s example runs as printed and gives back what it encrypted', () => {
  expect(run('## The library')).toEqual({ stdout: 'hello\n', stderr: '', status: 0 })
  expect(pkcs11Tool(demo, ['--list-objects'])).toContain('my-key')
})

test('the README’s example of several tokens as one runs as printed, and each token has the key', () => {
  expect(run('### Several tokens as one')).toEqual({ stdout: 'hello\n[]\n', stderr: '', status: 0 })
  for (const member of members) expect(pkcs11Tool(member, ['--list-objects'])).toContain('shared')
})
