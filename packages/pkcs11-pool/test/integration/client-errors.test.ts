import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { findSoftHsm } from 'testkit'
import { describe, expect, test } from 'vitest'
import { CryptokiError, createClient, Pkcs11PoolError } from '../../src/index.js'
import { rejection } from '../support/rejection.js'
import { aesKey, useWrappedToken } from '../support/wrapped-token.js'

const { token, module, open } = useWrappedToken([
  { label: 'k' },
  { label: 'twins', id: 1 },
  { label: 'twins', id: 2 },
  { label: 'ec', type: 'ec-p256' },
])
const iv = Buffer.alloc(16)
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv } as const
const pin = { file: token.pinFile }
const good = { module: module.module, token: { label: token.label }, pin }

/** The error, which has to be ours, have the code, and say each of the words. */
async function fails(promise: Promise<unknown>, code: string, ...words: string[]): Promise<Pkcs11PoolError> {
  const error = await rejection(promise)
  expect(error).toBeInstanceOf(Pkcs11PoolError)
  expect(error).toMatchObject({ code })
  for (const word of words) expect((error as Error).message).toContain(word)
  expect(inspect(error, { depth: 10 })).not.toContain(token.pin)
  return error as Pkcs11PoolError
}

describe('createClient', () => {
  test('a module that is not there is named', async () => {
    await fails(createClient({ ...good, module: '/no/such/module.so' }), 'MODULE_LOAD_FAILED', '/no/such/module.so')
  })

  test('a file that is no library, and a library that is no module, are told from each other', async () => {
    const { sharedObjects } = process.report.getReport() as unknown as { sharedObjects: string[] }
    const libm = sharedObjects.find((path) => path.includes('libm.so')) ?? ''
    const text = join(token.directory, 'text.so')
    writeFileSync(text, 'not a library')
    await fails(createClient({ ...good, module: text }), 'MODULE_LOAD_FAILED', text)
    await fails(
      createClient({
        ...good,
        module: libm,
      }),
      'MODULE_LOAD_FAILED',
      'C_GetFunctionList',
    )
  })

  test('a token that is not there is answered with those that are', async () => {
    await fails(
      createClient({ ...good, token: { label: 'nope' } }),
      'TOKEN_NOT_FOUND',
      'nope',
      token.label,
      token.serial,
    )
    await fails(createClient({ ...good, token: { serial: 'nope' } }), 'TOKEN_NOT_FOUND', token.serial)
    await fails(createClient({ ...good, token: { slot: 12_345_678 } }), 'TOKEN_NOT_FOUND', '12345678')
    expect(module.openSessions()).toBe(0)
  })

  test('a token can be selected by serial number and by slot', async () => {
    for (const selector of [{ serial: token.serial }, { slot: token.slot }]) {
      const client = await open({ token: selector })
      expect(await client.generateRandom(4)).toHaveLength(4)
    }
  })

  test.each([
    [{ pool: { maxSise: 3 } }, ['maxSise', 'maxSize']],
    [{ pool: { maxSize: 0 } }, ['maxSize', '0', 'from 1']],
    [{ pool: { operationTimeoutMs: Number.NaN } }, ['operationTimeoutMs']],
    [{ modul: 'x' }, ['modul', 'module']],
    [{ token: {} }, ['token', 'label']],
    [{ token: { label: 'a', slot: 1 } }, ['token']],
    [{ module: '' }, ['module']],
    [{ connect: 'eagr' }, ['eagr', 'eager']],
    [{ keys: { ttl: 3 } }, ['ttl', 'ttlMs']],
    [{ keys: { maxEntries: 0 } }, ['keys.maxEntries']],
    [{ readOnly: 1 }, ['readOnly']],
  ])('the option %j is refused by name', async (wrong, words) => {
    await fails(createClient({ ...good, ...wrong } as never), 'INVALID_OPTION', ...words)
  })

  test.each([[{ value: '' }], [{}], [{ file: '/a', env: 'B' }], [{ pin: '1234' }], ['1234'], [null]])(
    'the pin %j is refused without a word of it',
    async (wrong) => {
      const error = await fails(createClient({ ...good, pin: wrong as never }), 'INVALID_OPTION')
      expect(error.message).not.toContain('1234')
    },
  )
})

describe('a PIN', () => {
  const fileWith = (content: string): string => {
    const file = join(token.directory, 'pin')
    writeFileSync(file, content, { mode: 0o600 })
    return file
  }

  test.each(['', '\n', '\r\n'])('is read from a file that ends in %j', async (end) => {
    const client = await open({ pin: { file: fileWith(`${token.pin}${end}`) } })
    expect(await client.encrypt({ label: 'k' }, cbc, iv)).toHaveLength(32)
  })

  test('is read from the environment, and copied from a value that may be wiped at once', async () => {
    process.env.TEST_HSM_PIN = token.pin
    await open({ pin: { env: 'TEST_HSM_PIN' } })
    delete process.env.TEST_HSM_PIN
    await open({ pin: { value: token.pin } })
    const bytes = Buffer.from(token.pin)
    const opening = open({ pin: { value: bytes } })
    bytes.fill(0)
    const client = await opening
    expect(await client.encrypt({ label: 'k' }, cbc, iv)).toHaveLength(32)
    expect(inspect(client, { depth: 12, showHidden: true })).not.toContain(token.pin)
    expect(JSON.stringify([client.stats(), client.health(), client.metrics()])).not.toContain(token.pin)
  })

  test('that is not to be had is told by its source', async () => {
    await fails(createClient({ ...good, pin: { file: '/no/pin' } }), 'PIN_UNAVAILABLE', '/no/pin')
    await fails(createClient({ ...good, pin: { file: fileWith('') } }), 'PIN_UNAVAILABLE', 'empty')
    await fails(createClient({ ...good, pin: { file: fileWith('\n') } }), 'PIN_UNAVAILABLE', 'empty')
    await fails(createClient({ ...good, pin: { file: fileWith('1'.repeat(2_000)) } }), 'PIN_UNAVAILABLE', '1024')
    await fails(createClient({ ...good, pin: { env: 'NO_SUCH_VARIABLE' } }), 'PIN_UNAVAILABLE', 'NO_SUCH_VARIABLE')
    expect(module.openSessions()).toBe(0)
  })

  test('that is wrong is sent once, when the client is made', async () => {
    const before = module.calls('C_Login')
    const error = await fails(createClient({ ...good, pin: { value: 'wrong-pin' } }), 'CREDENTIALS_REJECTED', 'C_Login')
    expect(error).toBeInstanceOf(CryptokiError)
    expect(error).toMatchObject({ rvName: 'CKR_PIN_INCORRECT', fn: 'C_Login', category: 'credentials' })
    expect(module.calls('C_Login') - before).toBe(1)
    expect(module.openSessions()).toBe(0)
  })

  test('that is wrong is sent once, however many calls follow and however many there are at once', async () => {
    const client = await open({ pin: { value: 'wrong-pin' }, connect: 'lazy' })
    const before = module.calls('C_Login')
    const calls = () =>
      Array.from({ length: 20 }, (_, at) =>
        at % 2 === 0
          ? client.encrypt({ label: 'k' }, cbc, iv)
          : client.withDedicatedSession((session) => session.generateRandom(1)),
      )
    await Promise.all(calls().map((call) => fails(call, 'CREDENTIALS_REJECTED')))
    await Promise.all(calls().map((call) => fails(call, 'CREDENTIALS_REJECTED')))
    await fails(
      client.withSession((session) => session.generateRandom(1)),
      'CREDENTIALS_REJECTED',
    )
    expect(module.calls('C_Login') - before).toBe(1)
    expect(client.health().state).toBe('locked')
    await client.close()
    expect(module.openSessions()).toBe(0)
  })

  test('that the token has locked is latched like a wrong one', async () => {
    module.fail('C_Login', 'CKR_PIN_LOCKED')
    const before = module.calls('C_Login')
    const client = await open({ connect: 'lazy' })
    await fails(client.generateRandom(1), 'CREDENTIALS_REJECTED', 'CKR_PIN_LOCKED')
    module.clear()
    await fails(client.generateRandom(1), 'CREDENTIALS_REJECTED', 'CKR_PIN_LOCKED')
    expect(module.calls('C_Login') - before).toBe(1)
  })
})

describe('a call', () => {
  test('on a key that is not there names it', async () => {
    const client = await open()
    await fails(client.encrypt({ label: 'missing', id: 7 }, cbc, iv), 'KEY_NOT_FOUND', 'missing', '7')
    await fails(client.keys.get({ id: Buffer.from('ab', 'hex') }), 'KEY_NOT_FOUND', '0xab')
  })

  test('on one of two keys names both', async () => {
    const client = await open()
    await fails(client.encrypt({ label: 'twins' }, cbc, iv), 'KEY_AMBIGUOUS', '0x00000001', '0x00000002', 'add id')
    expect(await client.encrypt({ label: 'twins', id: 2 }, cbc, iv)).toHaveLength(32)
  })

  test('with a mechanism that the token lacks, or the key refuses, names it', async () => {
    const client = await open()
    const ccm = { mechanism: 'CKM_AES_CCM', nonce: Buffer.alloc(12), macLength: 16, dataLength: 16 }
    await fails(client.encrypt({ label: 'k' }, ccm as never, iv), 'MECHANISM_NOT_SUPPORTED', 'CKM_AES_CCM')
    await fails(client.sign({ label: 'ec' }, 'CKM_SHA256_RSA_PKCS', iv), 'CRYPTOKI', 'C_Sign', 'CKM_SHA256_RSA_PKCS')
  })

  test('with data of a wrong length keeps its session', async () => {
    const client = await open({ pool: { maxSize: 1 } })
    const { created } = client.stats()
    const error = await fails(
      client.encrypt({ label: 'k' }, { mechanism: 'CKM_AES_CBC', iv }, Buffer.alloc(5)),
      'CRYPTOKI',
    )
    expect(error).toMatchObject({ fn: 'C_Encrypt', category: 'caller' })
    await fails(client.decrypt({ label: 'k' }, cbc, Buffer.alloc(5)), 'CRYPTOKI')
    expect(await client.encrypt({ label: 'k' }, cbc, iv)).toHaveLength(32)
    expect(client.stats().created).toBe(Math.max(created, 1))
  })

  test('with an argument of the wrong kind sends nothing', async () => {
    const client = await open()
    const before = module.calls('C_EncryptInit')
    const key = { label: 'k' }
    await fails(client.encrypt(key, cbc, 'text' as never), 'INVALID_ARGUMENT', 'data', 'Uint8Array')
    await fails(
      client.encrypt(key, { mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.alloc(3) }, iv),
      'INVALID_ARGUMENT',
      '16',
    )
    await fails(client.encrypt(key, 'CKM_AES_CBC_PADD' as never, iv), 'INVALID_ARGUMENT', 'CKM_AES_CBC_PADD')
    await fails(client.encrypt({}, cbc, iv), 'INVALID_ARGUMENT', 'label')
    await fails(client.encrypt({ lable: 'k' } as never, cbc, iv), 'INVALID_ARGUMENT', 'lable')
    await fails(client.encrypt({ label: 'k', id: -1 }, cbc, iv), 'INVALID_ARGUMENT', '-1')
    await fails(client.encrypt({ label: 'k', class: 'CKO_DATA' as never }, cbc, iv), 'INVALID_ARGUMENT', 'CKO_DATA')
    await fails(client.encrypt(key, cbc, iv, { timeoutMs: -5 }), 'INVALID_ARGUMENT', 'timeoutMs')
    await fails(client.generateRandom(-1), 'INVALID_ARGUMENT', '-1')
    await fails(client.keys.find(null as never), 'INVALID_ARGUMENT', 'null')
    await fails(client.open(key, null as never), 'INVALID_ARGUMENT', 'sealed is null', 'ciphertext')
    await fails(
      client.withSession((session) => session.getAttributes(1, null as never)),
      'INVALID_ARGUMENT',
      'names is null',
    )
    await fails(client.keys.find('k' as never), 'INVALID_ARGUMENT', 'string')
    await fails(client.keys.import({ CKA_CLASS: 'CKO_SECRET_KEY' }), 'INVALID_ARGUMENT', 'CKA_TOKEN')
    await fails(
      client.keys.import({ ...aesKey('x', 1, iv), CKA_LABLE: 'y' } as never),
      'INVALID_ARGUMENT',
      'CKA_LABLE',
      'CKA_LABEL',
    )
    await fails(
      client.withSession((session) => session.encrypt('k' as never, cbc, iv)),
      'INVALID_ARGUMENT',
      'handle',
    )
    expect(() => client.on('nope' as never, () => undefined)).toThrow(/nope/)
    expect(module.calls('C_EncryptInit')).toBe(before)
  })

  test('on a session that was released is refused, and so is releasing it again', async () => {
    const client = await open()
    const session = await client.acquire()
    session.release()
    expect(() => session.release()).toThrow(expect.objectContaining({ code: 'SESSION_RELEASED' }))
    await fails(session.generateRandom(1), 'SESSION_RELEASED')
    await fails(session.encrypt(1, cbc, iv), 'SESSION_RELEASED')
    let kept: typeof session | undefined
    await client.withSession((inner) => {
      kept = inner
    })
    await fails(kept?.generateRandom(1) ?? Promise.resolve(), 'SESSION_RELEASED')
    expect(client.stats()).toMatchObject({ inUse: 0 })
  })

  test('after close is refused, and one that waits for a session is told', async () => {
    const client = await open({ pool: { maxSize: 1 } })
    const session = await client.acquire()
    const waiting = fails(client.encrypt({ label: 'k' }, cbc, iv), 'POOL_CLOSED')
    const closing = client.close()
    await waiting
    session.release()
    expect(await closing).toEqual({ abandoned: 0 })
    expect(await client.close()).toEqual({ abandoned: 0 })
    await fails(client.encrypt({ label: 'k' }, cbc, iv), 'POOL_CLOSED')
    await fails(client.acquire(), 'POOL_CLOSED')
    await fails(
      client.withDedicatedSession(() => 1),
      'POOL_CLOSED',
    )
    expect(module.openSessions()).toBe(0)
  })

  test('that finds no free session in time says how the pool is', async () => {
    const client = await open({ pool: { maxSize: 1 } })
    await using held = await client.acquire()
    expect(held.released).toBe(false)
    await fails(
      client.generateRandom(1, { timeoutMs: 1 }),
      'ACQUIRE_TIMEOUT',
      'timeout waiting for available connection',
      'maxSize 1',
    )
  })
})

test('an uninitialised token is not one', async () => {
  const { slots } = await import('../../src/index.js').then(({ inspectModule }) => inspectModule(findSoftHsm()))
  const empty = slots.find((slot) => slot.token?.flags.includes('CKF_TOKEN_INITIALIZED') === false)
  await fails(createClient({ ...good, token: { slot: Number(empty?.slotId) } }), 'TOKEN_NOT_INITIALIZED', 'init')
})
