import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, describe, expect, test } from 'vitest'
import { createClient, type PinSource } from '../../src/index.js'
import { rejection } from '../support/rejection.js'
import { useWrappedToken } from '../support/wrapped-token.js'

const { token, module, open } = useWrappedToken([{ label: 'k' }])
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.alloc(16) } as const
const encrypt = async (pin: PinSource, connect: 'eager' | 'lazy' = 'eager') =>
  (await open({ pin, connect })).encrypt({ label: 'k' }, cbc, Buffer.alloc(16))
const NAME = 'PIN_TEST_VARIABLE'
afterEach(() => {
  Reflect.deleteProperty(process.env, NAME)
})

function fileWith(content: string): string {
  const file = join(token.directory, 'pin')
  writeFileSync(file, content, { mode: 0o600 })
  return file
}

describe('a PIN', () => {
  test.each(['\n\n', ' ', '\n\r', '\0'])('from a file with %j behind it is another PIN', async (end) => {
    const error = await rejection(encrypt({ file: fileWith(`${token.pin}${end}`) }))
    expect(error).toMatchObject({ code: 'CREDENTIALS_REJECTED', fn: 'C_Login' })
  })

  test('from a file is read when the client is made, and no more when it logs in later', async () => {
    const file = fileWith(token.pin)
    const client = await open({ pin: { file }, connect: 'lazy' })
    writeFileSync(file, 'something else')
    expect(await client.encrypt({ label: 'k' }, cbc, Buffer.alloc(16))).toHaveLength(32)
  })

  test.each(['eager', 'lazy'] as const)(
    'is taken from a part of a buffer that is wiped at once, %s',
    async (connect) => {
      const room = new Uint8Array(64).fill(0x41)
      const bytes = room.subarray(20, 20 + Buffer.byteLength(token.pin))
      bytes.set(Buffer.from(token.pin))
      const encrypting = encrypt({ value: bytes }, connect)
      room.fill(0)
      expect(await encrypting).toHaveLength(32)
    },
  )

  test('is taken from the environment and as a string', async () => {
    process.env[NAME] = token.pin
    expect(await encrypt({ env: NAME }, 'lazy')).toHaveLength(32)
    expect(await encrypt({ value: token.pin }, 'lazy')).toHaveLength(32)
  })
})

describe('a PIN that is not to be had', () => {
  const directory = join(token.directory, 'directory')
  mkdirSync(directory)
  const cases: [string, () => PinSource, string][] = [
    ['an empty file', () => ({ file: fileWith('') }), 'empty'],
    ['a file with nothing but a line end', () => ({ file: fileWith('\r\n') }), 'empty'],
    ['a file that is not there', () => ({ file: join(directory, 'none') }), join(directory, 'none')],
    ['a directory', () => ({ file: directory }), directory],
    ['a variable that is not set', () => ({ env: NAME }), NAME],
    ['a variable that is empty', () => ({ env: NAME }), NAME],
  ]
  test.each(cases)('because of %s is told by its source, and nothing is sent', async (what, source, word) => {
    if (what.endsWith('is empty')) process.env[NAME] = ''
    const before = module.calls('C_Login')
    for (const connect of ['eager', 'lazy'] as const) {
      const error = (await rejection(encrypt(source(), connect))) as Error
      expect(error).toMatchObject({ code: 'PIN_UNAVAILABLE', category: 'credentials' })
      expect(error.message).toContain(word)
      expect(error.message).toContain('correct `pin`')
    }
    expect(module.calls('C_Login')).toBe(before)
    expect(module.openSessions()).toBe(0)
  })

  test('because its bytes are none is told before anything is loaded', async () => {
    const before = module.calls('C_Initialize')
    const error = await rejection(encrypt({ value: new Uint8Array(0) }))
    expect((error as { code: string }).code).toMatch(/INVALID_OPTION|PIN_UNAVAILABLE/)
    expect((error as Error).message).toContain('empty')
    expect(module.calls('C_Initialize')).toBe(before)
  })
})

describe('nobody sees the PIN', () => {
  const WRONG = 'wr0ng-and-secret'
  const everything = (value: unknown): string => inspect(value, { depth: 10, showHidden: true, getters: true })

  test.each([{ value: WRONG }, { value: Buffer.from(WRONG) }])('in an error of a login that failed', async (pin) => {
    const client = await open({ pin, connect: 'lazy' })
    const errors = [
      await rejection(createClient({ module: module.module, token: { label: token.label }, pin })),
      await rejection(client.generateRandom(1)),
      await rejection(client.generateRandom(1)),
    ]
    for (const error of errors) {
      expect(error).toMatchObject({ code: 'CREDENTIALS_REJECTED' })
      expect(everything(error)).not.toContain(WRONG)
      expect(String((error as Error).stack)).not.toContain(WRONG)
    }
    expect(everything(client)).not.toContain(WRONG)
  })

  test('in a client, its figures or its events', async () => {
    const client = await open({ pin: { value: token.pin }, connect: 'lazy' })
    const events: unknown[] = []
    for (const name of ['created', 'acquired', 'released', 'login', 'destroyed'] as const)
      client.on(name, (event) => events.push(event))
    await client.encrypt({ label: 'k' }, cbc, Buffer.alloc(16))
    client.reset()
    expect(events.length).toBeGreaterThan(3)
    const shown = [
      everything(client),
      everything(events),
      JSON.stringify([client.stats(), client.health()]),
      client.metrics(),
    ]
    for (const text of shown) expect(text).not.toContain(token.pin)
  })

  test.each([
    ['a file', { file: token.pinFile }],
    ['the environment', { env: NAME }],
  ])('from %s in the whole heap of JavaScript', (_, pin) => {
    const heap = join(token.directory, 'heap')
    const program = `
      import { writeHeapSnapshot } from 'node:v8'
      import { createClient } from ${JSON.stringify(new URL('../../dist/index.js', import.meta.url).href)}
      const marker = ['a string', 'that is there'].join(' ')
      const client = await createClient({
        module: ${JSON.stringify(token.module)}, token: { label: 'test' }, pin: ${JSON.stringify(pin)} })
      await client.generateRandom(8)
      writeHeapSnapshot(${JSON.stringify(heap)})
      await client.close()
      console.log(marker)`
    const env = { ...process.env, ...token.env, [NAME]: token.pin }
    execFileSync(process.execPath, ['--input-type=module', '-e', program], { env })
    const snapshot = readFileSync(heap, 'latin1')
    expect(snapshot.includes('a string that is there')).toBe(true)
    expect(snapshot.includes(token.pin)).toBe(false)
  })
})
