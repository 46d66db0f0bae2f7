import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { createWrappedModule } from 'testkit'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { ATTRIBUTES } from '../../src/pkcs11/attribute-types.js'
import type { EngineSession } from '../../src/pkcs11/engine.js'
import { packMechanism } from '../../src/pkcs11/mechanisms.js'
import { Operation } from '../../src/pkcs11/protocol.js'
import { packTemplate } from '../../src/pkcs11/templates.js'
import { EngineOnToken, FOREVER, until } from '../support/engine-on-token.js'
import { rejection } from '../support/rejection.js'
import { aesKey } from '../support/wrapped-token.js'

const token = useSoftHsmToken({ keys: [{ label: 'sensitive' }] })
const module = createWrappedModule(token)
const on = new EngineOnToken(token, module.module)
const { engine } = on

const MANY = 130
const value = randomBytes(32)
const iv = randomBytes(16)
const cbc = packMechanism({ mechanism: 'CKM_AES_CBC', iv })
const cbcPad = packMechanism({ mechanism: 'CKM_AES_CBC_PAD', iv })
let session: EngineSession
let key: number

beforeAll(async () => {
  await on.load()
  session = await on.open()
  await on.login(session)
  key = (await engine.run(Operation.CREATE_OBJECT, session, FOREVER, sessionKey('known'))) as number
  const many = sessionKey('many')
  await Promise.all(Array.from({ length: MANY }, () => engine.run(Operation.CREATE_OBJECT, session, FOREVER, many)))
})
afterEach(() => module.clear())
afterAll(async () => {
  await on.unload()
  engine.dispose()
  await until(() => module.openSessions() === 0)
  module.remove()
})

function sessionKey(label: string): Uint8Array {
  return packTemplate({ ...aesKey(label, 1, value), CKA_TOKEN: false, CKA_SENSITIVE: false, CKA_EXTRACTABLE: true })
}

function run(operation: Operation, ...args: unknown[]): Promise<unknown> {
  return engine.run(operation, session, FOREVER, ...args)
}

function reference(name: 'createCipheriv' | 'createDecipheriv', data: Buffer, padding: boolean): Buffer {
  const cipher = (name === 'createCipheriv' ? createCipheriv : createDecipheriv)('aes-256-cbc', value, iv)
  cipher.setAutoPadding(padding)
  return Buffer.concat([cipher.update(data), cipher.final()])
}

const type = (name: keyof typeof ATTRIBUTES): number => ATTRIBUTES[name].type

describe('bytes come back whole, whatever their number:', () => {
  // Answers of up to 64 bytes take another way than longer ones, and those of up to 2 KiB another than those beyond.
  test.each([0, 16, 48, 64, 80, 1024, 1040, 2032, 2048, 4096, 1 << 20])('%i of them', async (length) => {
    const plain = randomBytes(length)
    const cipher = (await run(Operation.ENCRYPT, cbc, key, plain)) as Buffer
    const decrypted = (await run(Operation.DECRYPT, cbc, key, cipher)) as Buffer
    expect([cipher.length, decrypted.length]).toEqual([length, length])
    expect(cipher.equals(reference('createCipheriv', plain, false))).toBe(true)
    expect(decrypted.equals(plain)).toBe(true)
  })

  test('padding that is all there is decrypts to nothing', async () => {
    const cipher = await run(Operation.ENCRYPT, cbcPad, key, Buffer.alloc(0))
    expect(cipher).toEqual(reference('createCipheriv', Buffer.alloc(0), true))
    expect(await run(Operation.DECRYPT, cbcPad, key, cipher)).toEqual(Buffer.alloc(0))
  })

  test('many answers at once, more than the memory for short ones holds', async () => {
    const plains = Array.from({ length: 600 }, (_, at) => randomBytes(16 * (at % 6)))
    const ciphers = await Promise.all(plains.map((plain) => run(Operation.ENCRYPT, cbc, key, plain)))
    expect(ciphers).toEqual(plains.map((plain) => reference('createCipheriv', plain, false)))
  })

  test('a module that wants more room than it was given is asked again', async () => {
    const before = module.calls('C_Encrypt')
    module.fail('C_Encrypt', 'CKR_BUFFER_TOO_SMALL', { times: 3 })
    const plain = randomBytes(32)
    expect(await run(Operation.ENCRYPT, cbc, key, plain)).toEqual(reference('createCipheriv', plain, false))
    expect(module.calls('C_Encrypt') - before).toBe(4)
  })

  test('a module that never has room enough is not asked for ever', async () => {
    const other = await on.open()
    module.fail('C_Encrypt', 'CKR_BUFFER_TOO_SMALL')
    const before = module.calls('C_Encrypt')
    expect(await rejection(engine.run(Operation.ENCRYPT, other, FOREVER, cbc, key, Buffer.alloc(16)))).toMatchObject({
      rvName: 'CKR_BUFFER_TOO_SMALL',
      fn: 'C_Encrypt',
    })
    expect(module.calls('C_Encrypt') - before).toBe(4)
    await on.close(other)
  })
})

describe('a search', () => {
  const find = (count: number, types: number[] | null) =>
    run(Operation.FIND, packTemplate({ CKA_LABEL: 'many' }), count, types) as Promise<unknown[]>

  test('finds every object, however many chunks of them', async () => {
    const found = await find(100_000, null)
    expect(new Set(found.filter((_, at) => at % 2 === 0)).size).toBe(MANY)
    expect(found.filter((_, at) => at % 2 === 1)).toEqual(Array.from({ length: MANY }, () => null))
  })

  test.each([0, 1, 63, 64, 65, 128])('stops at %i', async (count) => {
    expect(await find(count, null)).toHaveLength(count * 2)
  })

  test('reads the attributes on the way', async () => {
    const found = await find(70, [type('CKA_LABEL'), type('CKA_MODULUS')])
    expect(found.filter((_, at) => at % 2 === 1)).toEqual(Array.from({ length: 70 }, () => [Buffer.from('many'), null]))
  })

  test('that found nothing answers nothing, and the next one can begin', async () => {
    const nothing = packTemplate({ CKA_LABEL: 'nobody' })
    expect(await run(Operation.FIND, nothing, 10, null)).toEqual([])
    expect(await find(1, null)).toHaveLength(2)
  })

  test('that failed in the middle is ended, so that the next one can begin', async () => {
    module.fail('C_FindObjects', 'CKR_DEVICE_MEMORY', { from: 2, times: 1 })
    expect(await rejection(find(100, null))).toMatchObject({ rvName: 'CKR_DEVICE_MEMORY', fn: 'C_FindObjects' })
    expect(await find(100, null)).toHaveLength(200)
  })
})

test('an attribute that is sensitive or is not there is null, and hides no other; an empty one is no bytes', async () => {
  const [sensitive] = (await run(Operation.FIND, packTemplate({ CKA_LABEL: 'sensitive' }), 1, null)) as [number]
  const types = ['CKA_LABEL', 'CKA_VALUE', 'CKA_MODULUS', 'CKA_ID', 'CKA_START_DATE'] as const
  expect(await run(Operation.GET_ATTRIBUTES, sensitive, types.map(type))).toEqual([
    Buffer.from('sensitive'),
    null,
    null,
    Buffer.of(0, 0, 0, 1),
    Buffer.alloc(0),
  ])
  expect(await run(Operation.GET_ATTRIBUTES, key, types.map(type))).toMatchObject({ 1: value, 2: null })
})

describe('an abort', () => {
  const reason = new Error('changed its mind')

  test('before its turn takes the call back, and it never reaches the module', async () => {
    module.hang('C_Encrypt', { times: 1 })
    const first = run(Operation.ENCRYPT, cbc, key, iv)
    await until(() => module.hanging() === 1)
    const before = module.calls('C_DecryptInit')
    const abort = new AbortController()
    const call = { ...FOREVER, signal: abort.signal }
    const aborted = rejection(engine.run(Operation.DECRYPT, session, call, cbc, key, iv))
    abort.abort(reason)
    expect(await aborted).toBe(reason)
    expect(session.pending).toBe(1)
    module.release()
    await first
    await run(Operation.ENCRYPT, cbc, key, iv)
    expect(module.calls('C_DecryptInit')).toBe(before)
  })

  test('of a call under way rejects at once, and the session’s next call waits for its end', async () => {
    module.hang('C_Encrypt', { times: 1 })
    const abort = new AbortController()
    const aborted = rejection(
      engine.run(Operation.ENCRYPT, session, { ...FOREVER, signal: abort.signal }, cbc, key, iv),
    )
    await until(() => module.hanging() === 1)
    const before = module.calls('C_DecryptInit')
    const next = run(Operation.DECRYPT, cbc, key, iv)
    abort.abort(reason)
    expect(await aborted).toBe(reason)
    expect(module.hanging()).toBe(1)
    expect(module.calls('C_DecryptInit')).toBe(before)
    module.release()
    expect(await next).toEqual(reference('createDecipheriv', iv, false))
    expect(session).toMatchObject({ pending: 0, lost: false })
  })

  test('of a call that hangs past its deadline too is not told twice', async () => {
    const other = await on.open()
    module.hang('C_Encrypt', { times: 1 })
    const abort = new AbortController()
    const call = { timeoutMs: 30, signal: abort.signal }
    const aborted = rejection(engine.run(Operation.ENCRYPT, other, call, cbc, key, iv))
    await until(() => module.hanging() === 1)
    abort.abort(reason)
    expect(await aborted).toBe(reason)
    await until(() => engine.stats().hung === 1)
    module.release()
    await until(() => engine.stats().hung === 0 && other.pending === 0)
    expect(other.lost).toBe(true)
    await until(() => engine.stats().sessions === 1)
  })
})
