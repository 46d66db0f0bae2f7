import { expect, test } from 'vitest'
import { CryptokiError } from '../../src/index.js'
import { rejection } from '../support/rejection.js'
import { useWrappedToken } from '../support/wrapped-token.js'

const { module, open } = useWrappedToken([{ label: 'k' }])
const iv = Buffer.alloc(16)
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv } as const
const key = { label: 'k' }

/** Resolves once as many calls hang in the module. */
async function hanging(count: number): Promise<void> {
  while (module.hanging() < count) await new Promise(setImmediate)
}

test('first uses of every kind at once share one login', async () => {
  const client = await open({ connect: 'lazy', pool: { maxSize: 4 } })
  const before = module.calls('C_Login')
  const logins: number[] = []
  client.on('login', ({ generation }) => logins.push(generation))
  module.hang('C_Login')
  const uses = Array.from({ length: 8 }, () => [
    client.encrypt(key, cbc, iv),
    client.withSession((session) => session.findKey(key)),
    client.keys.get(key),
    client.batch([{ op: 'encrypt', key, mechanism: cbc, data: iv }]),
  ])
  await hanging(1)
  module.release()
  expect(await Promise.all(uses.flat())).toHaveLength(32)
  expect(module.calls('C_Login') - before).toBe(1)
  expect(logins).toEqual([1])
})

test('a session that holds the login is there while the pool has none', async () => {
  const client = await open({ pool: { minSize: 0, maxSize: 4, maxLifetimeMs: 0 } })
  const before = module.calls('C_Login')
  for (let use = 0; use < 5; use += 1) expect(await client.encrypt(key, cbc, iv)).toHaveLength(32)
  expect(client.stats().created).toBeGreaterThanOrEqual(5)
  expect(module.calls('C_Login')).toBe(before)
})

test('many refused at once because nobody is logged in share one new login, and all are answered', async () => {
  const client = await open({ pool: { maxSize: 4, minSize: 4 } })
  await Promise.all(Array.from({ length: 8 }, () => client.encrypt(key, cbc, iv)))
  const before = module.calls('C_Login')
  // All four are inside the module before the first is answered.
  module.hang('C_EncryptInit', { times: 4 })
  module.fail('C_EncryptInit', 'CKR_USER_NOT_LOGGED_IN', { times: 4 })
  const calls = Array.from({ length: 4 }, () => client.encrypt(key, cbc, iv))
  await hanging(4)
  module.release()
  for (const cipher of await Promise.all(calls)) expect(cipher).toHaveLength(32)
  expect(module.calls('C_Login') - before).toBe(1)
  expect(client.stats().inUse).toBe(0)
})

test.each(['C_SignInit', 'C_DecryptInit', 'C_FindObjectsInit', 'C_GenerateKey', 'C_DestroyObject'] as const)(
  'whatever call was refused for want of a login is made again after it: %s',
  async (name) => {
    const client = await open()
    const cipher = await client.encrypt(key, cbc, iv)
    const template = { CKA_TOKEN: true, CKA_LABEL: name, CKA_VALUE_LEN: 32 } as const
    const made = await client.keys.generate('CKM_AES_KEY_GEN', template)
    const calls = {
      C_SignInit: () => client.sign(key, 'CKM_AES_CMAC', iv),
      C_DecryptInit: () => client.decrypt(key, cbc, cipher),
      C_FindObjectsInit: () => client.keys.get(key),
      C_GenerateKey: () => client.keys.generate('CKM_AES_KEY_GEN', { ...template, CKA_LABEL: 'another' }),
      C_DestroyObject: () => client.keys.destroy({ label: name }),
    }
    const before = module.calls('C_Login')
    module.fail(name, 'CKR_USER_NOT_LOGGED_IN', { times: 1 })
    await calls[name]()
    expect(module.calls('C_Login') - before).toBe(1)
    // Made again, not made twice.
    expect(await client.keys.find({ label: name })).toHaveLength(name === 'C_DestroyObject' ? 0 : 1)
    expect(await client.keys.find({ label: 'another' })).toHaveLength(name === 'C_GenerateKey' ? 1 : 0)
    expect(made.label).toBe(name)
    for (const { id, label } of await client.keys.find({ label: name })) await client.keys.destroy({ id, label })
    for (const { id, label } of await client.keys.find({ label: 'another' })) await client.keys.destroy({ id, label })
  },
)

test('after a new login no handle of before is used', async () => {
  const client = await open()
  await client.encrypt(key, cbc, iv)
  const cached = { ...client.stats().keys }
  expect(cached.cached).toBe(1)
  const searches = module.calls('C_FindObjectsInit')
  module.fail('C_GenerateRandom', 'CKR_USER_NOT_LOGGED_IN', { times: 1 })
  await client.generateRandom(4)
  expect(client.stats().keys.cached).toBe(0)
  await client.encrypt(key, cbc, iv)
  expect(module.calls('C_FindObjectsInit')).toBe(searches + 1)
})

test('a new login that is rejected stops every call, those of sessions that are out included', async () => {
  const client = await open({ pool: { maxSize: 2 } })
  const session = await client.acquire()
  const found = await session.findKey(key)
  module.fail('C_EncryptInit', 'CKR_USER_NOT_LOGGED_IN')
  module.fail('C_Login', 'CKR_PIN_INCORRECT')
  const before = module.calls('C_Login')
  expect(await rejection(session.encrypt(found, cbc, iv))).toMatchObject({ code: 'CREDENTIALS_REJECTED' })
  expect(await rejection(session.encrypt(found, cbc, iv))).toMatchObject({ code: 'CREDENTIALS_REJECTED' })
  expect(await rejection(client.encrypt(key, cbc, iv))).toMatchObject({ code: 'CREDENTIALS_REJECTED' })
  expect(await rejection(client.acquire())).toMatchObject({ code: 'CREDENTIALS_REJECTED' })
  expect(module.calls('C_Login') - before).toBe(1)
  expect(client.health().state).toBe('locked')
  session.release()
  module.clear()
  await client.close()
  expect(module.openSessions()).toBe(0)
  // Another client may try: whoever makes one has looked at the PIN.
  expect(await (await open()).encrypt(key, cbc, iv)).toHaveLength(32)
})

test('a login that fails for another reason than the PIN is tried again', async () => {
  const client = await open({ connect: 'lazy', pool: { minSize: 0 } })
  const before = module.calls('C_Login')
  module.fail('C_Login', 'CKR_DEVICE_ERROR', { times: 1 })
  const error = await rejection(client.encrypt(key, cbc, iv))
  expect(error).toMatchObject({ code: 'CREATE_FAILED' })
  expect((error as { cause: CryptokiError }).cause).toBeInstanceOf(CryptokiError)
  let cipher: Buffer | undefined
  while (cipher === undefined) cipher = await client.encrypt(key, cbc, iv).catch(() => undefined)
  expect(module.calls('C_Login') - before).toBe(2)
})

test('a login that hangs while a client is made ends the making, and is not sent again by it', async () => {
  module.hang('C_Login')
  const before = module.calls('C_Login')
  const error = await rejection(open({ pool: { createTimeoutMs: 50 } }))
  expect(error).toMatchObject({ code: 'OPERATION_TIMEOUT' })
  expect(module.calls('C_Login') - before).toBe(1)
  module.release()
  while (module.openSessions() > 0) await new Promise(setImmediate)
  expect(await (await open()).encrypt(key, cbc, iv)).toHaveLength(32)
})

test('a client whose PIN another one has used already takes its login as its own', async () => {
  const [one, other] = [await open(), await open({ connect: 'lazy' })]
  expect(await other.encrypt(key, cbc, iv)).toHaveLength(32)
  await one.close()
  expect(await other.encrypt(key, cbc, iv)).toHaveLength(32)
  expect(other.health().state).toBe('ok')
})

test('a session of its own beside a login that is there costs no cached handle', async () => {
  const client = await open()
  await client.encrypt(key, cbc, iv)
  const { logins } = client.stats()
  await client.withDedicatedSession((session) => session.findKey(key))
  expect(client.stats()).toMatchObject({ logins, keys: { cached: 1 } })
})

test('a client without a PIN counts no login', async () => {
  const client = await open({ pin: undefined })
  const before = module.calls('C_Login')
  const logins: unknown[] = []
  client.on('login', (event) => logins.push(event))
  module.fail('C_GenerateRandom', 'CKR_USER_NOT_LOGGED_IN', { times: 1 })
  await client.generateRandom(1)
  expect([client.stats().logins, logins, module.calls('C_Login') - before]).toEqual([0, [], 0])
})
