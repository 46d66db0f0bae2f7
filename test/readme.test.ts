import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { createSoftHsmToken, findSoftHsm, pkcs11Tool } from 'testkit'
import { afterAll, expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const token = createSoftHsmToken({ label: 'demo' })
afterAll(token.remove)

test('the README’s example runs as printed and gives back what it encrypted', () => {
  const [, example = ''] = /```js\n(.*?)```/s.exec(readFileSync(new URL('../README.md', import.meta.url), 'utf8')) ?? []
  expect(example).toContain("'/usr/lib/softhsm/libsofthsm2.so'")
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-'], {
    // the path is Debian's; the test follows SoftHSM to wherever it is
    input: example.replace('/usr/lib/softhsm/libsofthsm2.so', findSoftHsm()),
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, ...token.env, HSM_PIN: token.pin },
  })
  expect({ stdout, stderr, status }).toEqual({ stdout: 'hello\n', stderr: '', status: 0 })
  expect(pkcs11Tool(token, ['--list-objects'])).toContain('my-key')
})
