import { inspect } from 'node:util'
import { createWrappedModule } from 'testkit'
import { useSoftHsm } from 'testkit/vitest'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { type Client, type ClientOptions, createClient, Pkcs11PoolError } from '../../src/index.js'
import { rejection } from '../support/rejection.js'

const softHsm = useSoftHsm()
const token = softHsm.createToken({ label: 'demo', keys: [{ label: 'k' }, { label: 'ec', type: 'ec-p256' }] })
softHsm.createToken({ label: 'no user pin', pin: null })
const twins = [softHsm.createToken({ label: 'twin' }), softHsm.createToken({ label: 'twin' })]
const module = createWrappedModule(softHsm)
afterAll(() => module.remove())
const clients: Client[] = []
afterEach(async () => {
  module.clear()
  await Promise.all(clients.splice(0).map((client) => client.close()))
  const left = module.openSessions()
  if (left !== 0) throw new Error(`${left} sessions were left open`)
})

const good = { module: module.module, token: { label: 'demo' }, pin: { file: token.pinFile } }
const iv = Buffer.alloc(16)
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv } as const
const key = { label: 'k' }

async function open(options: Partial<ClientOptions> = {}): Promise<Client> {
  const client = await createClient({ ...good, ...options })
  clients.push(client)
  return client
}

/** The error, which has to be ours, have the code, and say each of the words. */
async function fails(call: () => unknown, code: string, ...words: string[]): Promise<Pkcs11PoolError> {
  const error = await rejection((async () => call())())
  expect(error).toBeInstanceOf(Pkcs11PoolError)
  expect(error).toMatchObject({ code })
  for (const word of words) expect((error as Error).message).toContain(word)
  expect(inspect(error, { depth: 10 })).not.toContain(token.pin)
  return error as Pkcs11PoolError
}

describe('a token', () => {
  test('that is not there is answered with all that are', async () => {
    const words = ['nope', 'demo', token.serial, 'no user pin', ...twins.map(({ serial }) => serial), 'not initialised']
    await fails(() => open({ token: { label: 'nope' } }), 'TOKEN_NOT_FOUND', ...words)
  })

  test('that shares its label is answered with both, and found by its serial number', async () => {
    const serials = twins.map(({ serial }) => serial)
    await fails(() => open({ token: { label: 'twin' } }), 'TOKEN_AMBIGUOUS', 'twin', ...serials, 'serial number')
    for (const { serial, pinFile } of twins) {
      const client = await open({ token: { serial }, pin: { file: pinFile } })
      expect(await client.generateRandom(8)).toHaveLength(8)
    }
  })

  test('that was not initialised is told from one that is not there', async () => {
    const slot = softHsm.uninitializedSlot()
    await fails(() => open({ token: { slot } }), 'TOKEN_NOT_INITIALIZED', String(slot), '--init-token')
  })

  test('whose user PIN was never set is sent none', async () => {
    const before = module.calls('C_Login')
    const options = { token: { label: 'no user pin' }, pin: { value: '1234' } }
    await fails(() => open(options), 'TOKEN_NOT_INITIALIZED', 'no user pin', 'initialise')
    const client = await open({ ...options, connect: 'lazy' })
    for (const _ of [1, 2]) await fails(() => client.generateRandom(1), 'CREATE_FAILED', 'user PIN', 'initialise')
    expect(module.calls('C_Login')).toBe(before)
  })
})

describe('what the module fails', () => {
  test.each([
    ['C_Initialize', 'CKR_GENERAL_ERROR'],
    ['C_GetSlotList', 'CKR_DEVICE_ERROR'],
    ['C_OpenSession', 'CKR_DEVICE_MEMORY'],
    ['C_Login', 'CKR_DEVICE_ERROR'],
  ] as const)('%s while a client is made is named, and leaves nothing open', async (name, rvName) => {
    module.fail(name, rvName)
    const error = await fails(() => open(), 'CRYPTOKI', name, rvName)
    expect(error).toMatchObject({ fn: name, rvName })
    expect(module.openSessions()).toBe(0)
    module.clear()
    expect(await (await open()).encrypt(key, cbc, iv)).toHaveLength(32)
  })

  test.each([
    ['CKR_PIN_LOCKED', 'CREDENTIALS_REJECTED'],
    ['CKR_PIN_EXPIRED', 'CREDENTIALS_REJECTED'],
    ['CKR_PIN_LEN_RANGE', 'CREDENTIALS_REJECTED'],
    ['CKR_PIN_INVALID', 'CREDENTIALS_REJECTED'],
    ['CKR_USER_PIN_NOT_INITIALIZED', 'CREDENTIALS_REJECTED'],
  ] as const)('a login with %s is latched for every call at once', async (rvName, code) => {
    module.fail('C_Login', rvName)
    const client = await open({ connect: 'lazy' })
    const before = module.calls('C_Login')
    const calls = () => Promise.all(Array.from({ length: 20 }, () => fails(() => client.encrypt(key, cbc, iv), code)))
    await calls()
    module.clear()
    for (const error of await calls()) expect(error.message).toContain(rvName)
    expect(module.calls('C_Login') - before).toBe(1)
  })
})

describe('an argument of the wrong kind', () => {
  const wrongOptions: [string, unknown, string][] = [
    ['null', null, 'options'],
    ['a string', 'soon', 'options'],
    ['an unknown name', { timeout: 5 }, 'timeoutMs'],
    ['a timeout of a string', { timeoutMs: '5' }, 'timeoutMs'],
    ['a negative timeout', { timeoutMs: -1 }, '-1'],
    ['a timeout that is no number', { timeoutMs: Number.NaN }, 'NaN'],
    ['a timeout beyond what a timer takes', { timeoutMs: 3_000_000_000 }, '2147483647'],
    ['a signal that is none', { signal: {} }, 'AbortSignal'],
    ['a signal that is null', { signal: null }, 'AbortSignal'],
  ]
  test.each(wrongOptions)('in options: %s is refused in every call', async (_, options, word) => {
    const client = await open()
    const given = options as never
    const calls: (() => unknown)[] = [
      () => client.encrypt(key, cbc, iv, given),
      () => client.verify({ label: 'ec' }, 'CKM_ECDSA', iv, iv, given),
      () => client.digest('CKM_SHA256', iv, given),
      () => client.generateRandom(1, given),
      () => client.batch([{ op: 'digest', mechanism: 'CKM_SHA256', data: iv }], given),
      () => client.keys.find({}, given),
      () => client.keys.get(key, given),
      () => client.acquire(given),
      () => client.withSession(() => 1, given),
      () => client.withDedicatedSession(() => 1, given),
      () => client.withSession((session) => session.generateRandom(1, given)),
    ]
    for (const call of calls) await fails(call, 'INVALID_ARGUMENT', word)
    expect(client.stats()).toMatchObject({ inUse: 0, waiting: 0 })
  })

  test('is refused where a function, a list, sizes or a time is expected', async () => {
    const client = await open()
    await fails(() => client.withSession('f' as never), 'INVALID_ARGUMENT', 'function')
    await fails(() => client.withDedicatedSession(undefined as never), 'INVALID_ARGUMENT', 'function')
    await fails(() => client.batch('all' as never), 'INVALID_ARGUMENT', 'array')
    await fails(() => client.generateRandom('8' as never), 'INVALID_ARGUMENT', 'length')
    await fails(() => client.generateRandom(2 ** 40), 'INVALID_ARGUMENT', 'length')
    await fails(() => client.resize({ maxSize: 0 }), 'INVALID_OPTION', 'maxSize')
    await fails(() => client.resize({ max: 3 } as never), 'INVALID_OPTION', 'max')
    await fails(() => client.on('leek' as never, () => undefined), 'INVALID_ARGUMENT', 'leak')
    await fails(() => client.on('leak', undefined as never), 'INVALID_ARGUMENT', 'function')
    await fails(() => client.close({ timeoutMs: -1 }), 'INVALID_ARGUMENT', 'timeoutMs')
    await fails(() => client.close({ timeout: 1 } as never), 'INVALID_ARGUMENT', 'timeoutMs')
    // What was refused has not closed it.
    expect(await client.encrypt(key, cbc, iv)).toHaveLength(32)
  })

  test.each([
    undefined,
    null,
    3,
    'k',
    [],
    {},
    { label: 3 },
    { id: 1.5 },
    { id: 2 ** 32 },
    { id: 'a' },
    { labels: 'k' },
  ])('is refused as a key: %j', async (wrong) => {
    const client = await open()
    const given = wrong as never
    await fails(() => client.encrypt(given, cbc, iv), 'INVALID_ARGUMENT', 'key', 'expected')
    await fails(() => client.sign(given, 'CKM_ECDSA', iv), 'INVALID_ARGUMENT')
    await fails(() => client.keys.get(given), 'INVALID_ARGUMENT')
    await fails(() => client.keys.destroy(given), 'INVALID_ARGUMENT')
    await client.withSession(async (session) => {
      await fails(() => session.findKey(given), 'INVALID_ARGUMENT')
    })
  })

  test.each([
    undefined,
    null,
    {},
    [],
    { mechanism: 'CKM_AES_CBC_PAD' },
    { mechanism: 'CKM_AES_CBC_PAD', iv: 'x' },
    'AES',
    1.5,
  ])('is refused as a mechanism: %j', async (wrong) => {
    const client = await open()
    const before = module.calls('C_EncryptInit')
    await fails(() => client.encrypt(key, wrong as never, iv), 'INVALID_ARGUMENT')
    await fails(() => client.digest(wrong as never, iv), 'INVALID_ARGUMENT')
    expect(module.calls('C_EncryptInit')).toBe(before)
  })

  test.each([[undefined], [null], [3], ['text'], [[1, 2]], [new ArrayBuffer(3)], [new Uint16Array(3)]])(
    'is refused as data: %o',
    async (wrong) => {
      const client = await open()
      const data = wrong as never
      await fails(() => client.encrypt(key, cbc, data), 'INVALID_ARGUMENT', 'data', 'Uint8Array')
      await fails(() => client.digest('CKM_SHA256', data), 'INVALID_ARGUMENT', 'data', 'Uint8Array')
      await fails(() => client.verify({ label: 'ec' }, 'CKM_ECDSA', iv, data), 'INVALID_ARGUMENT', 'signature')
      await fails(() => client.seal(key, data), 'INVALID_ARGUMENT', 'Uint8Array')
      await fails(() => client.open(key, { iv, ciphertext: iv, tag: data }), 'INVALID_ARGUMENT', 'tag')
    },
  )

  test.each([undefined, null, 3, { pool: 3 }, { keys: 'all' }, { token: null }, { token: 'demo' }, { pin: token.pin }])(
    'is refused as options of createClient',
    async (wrong) => {
      const given = typeof wrong === 'object' && wrong !== null ? { ...good, ...wrong } : wrong
      await fails(() => createClient(given as never), 'INVALID_OPTION', 'expected')
    },
  )

  test.each([
    [{ pool: { operationTimeout: 5 } }, 'operationTimeoutMs'],
    [{ pool: { aquireTimeoutMs: 5 } }, 'acquireTimeoutMs'],
    [{ slot: 3 }, 'token'],
    [{ token: { lable: 'demo' } }, 'label'],
  ])('of an unknown name is answered with one that is known: %j', async (wrong, known) => {
    await fails(() => createClient({ ...good, ...wrong } as never), 'INVALID_OPTION', 'unknown option', known)
  })
})

describe('a session of the user’s own', () => {
  test('that was released refuses every method, and its place is free', async () => {
    const client = await open({ pool: { maxSize: 1 } })
    const session = await client.acquire()
    session.release()
    const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(session)).filter(
      (name) => !['constructor', 'released'].includes(name),
    ) as (keyof typeof session)[]
    expect(methods.length).toBeGreaterThan(20)
    for (const method of methods) {
      const call = session[method] as (...args: unknown[]) => unknown
      await fails(() => call.call(session), 'SESSION_RELEASED', 'released')
    }
    await using next = await client.acquire()
    // Its disposal, as at the end of a block, may come after a release.
    session[Symbol.dispose]()
    expect(next.released).toBe(false)
    expect(client.stats()).toMatchObject({ inUse: 1, currentSize: 1 })
  })

  test('is not acquired from a client that is closed meanwhile', async () => {
    const client = await open({ pool: { maxSize: 1 } })
    const held = await client.acquire()
    const waiting = Array.from({ length: 3 }, () => fails(() => client.acquire(), 'POOL_CLOSED', 'closed'))
    const closing = client.close()
    await Promise.all(waiting)
    held.release()
    expect(await closing).toEqual({ abandoned: 0 })
  })
})
