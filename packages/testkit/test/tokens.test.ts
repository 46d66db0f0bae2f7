import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import {
  createNssToken,
  createOpenCryptokiToken,
  createP11KitToken,
  createSoftHsmToken,
  createTpmToken,
  pkcs11Tool,
  type TestToken,
} from '../src/index.js'
import { useToken } from '../src/vitest.js'

const tokens = {
  SoftHSM: await useToken(() => createSoftHsmToken()),
  openCryptoki: await useToken(() => createOpenCryptokiToken()),
  TPM: await useToken(() => createTpmToken()),
  NSS: await useToken(() => createNssToken()),
  'p11-kit server': await useToken(() => createP11KitToken(createSoftHsmToken())),
}
const there = Object.entries(tokens).filter((entry): entry is [string, TestToken] => entry[1] !== undefined)

test.each(there)('%s: keys that one process makes are there for another, with label and id', (_, token) => {
  token.createKeys([
    { label: 'pair', type: 'rsa-2048', id: 7 },
    { label: 'secret', type: 'aes-256', id: 8 },
  ])
  const keys = token.objects().map(({ class: keyClass, label, id }) => `${keyClass} ${label} ${number(id)}`)
  expect(keys.sort()).toEqual(['CKO_PRIVATE_KEY pair 7', 'CKO_PUBLIC_KEY pair 7', 'CKO_SECRET_KEY secret 8'])
})

test.each(there)('%s: its version is known where a package tells it', (_, token) => {
  expect(token.version() ?? '0.0').toMatch(/^\d+\.\d+/)
})

// NSS wants arguments that pkcs11-tool cannot give
test.each(there.filter(([name]) => name !== 'NSS'))('%s: OpenSC’s pkcs11-tool sees it', (_, token) => {
  expect(pkcs11Tool(token, ['--list-objects'])).toMatch(/label: +secret\n/)
})

describe.each(there.filter(([, { server }]) => server !== undefined))('%s: its server', (_, token) => {
  test('is away when it was killed, and back with its keys when it was started again', async () => {
    await token.server?.kill()
    expect(() => token.objects()).toThrow('Command failed')
    await token.server?.start()
    expect(token.objects().map(({ label }) => label)).toContain('pair')
    await token.server?.restart()
    expect(token.objects().map(({ label }) => label)).toContain('pair')
  })

  test('answers nothing while it is stopped', () => {
    token.server?.stop()
    try {
      // A signal is sent at once and takes effect a moment later.
      while (stateOf(token) !== 'T');
    } finally {
      token.server?.cont()
    }
    while (stateOf(token) === 'T');
    expect(token.objects().map(({ label }) => label)).toContain('pair')
  })
})

/** The number that an id means: 4 bytes, or where the vendor's tool makes the key, 8 digits. */
function number(id: string): number {
  return Number.parseInt(id.length === 16 ? Buffer.from(id, 'hex').toString() : id, 16)
}

/** A process's state as the kernel has it: T for stopped. */
function stateOf({ server }: TestToken): string {
  return execFileSync('ps', ['--no-headers', '-o', 'state', '-p', String(server?.pid)], { encoding: 'utf8' }).trim()
}
