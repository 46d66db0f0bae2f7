import { expect, test } from 'vitest'
import { rejection } from '../support/rejection.js'
import { useWrappedToken } from '../support/wrapped-token.js'

const { module, open } = useWrappedToken([{ label: 'k' }])
const iv = Buffer.alloc(16)
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv } as const
const key = { label: 'k' }

test('however many calls come first at once, there is one login', async () => {
  const client = await open({ connect: 'lazy', pool: { maxSize: 8 } })
  const before = module.calls('C_Login')
  expect(module.openSessions()).toBe(0)
  await Promise.all(Array.from({ length: 32 }, () => client.encrypt(key, cbc, iv)))
  expect(module.calls('C_Login') - before).toBe(1)
  expect(client.stats().logins).toBe(1)
})

test('the login outlives every session of the pool', async () => {
  const client = await open({ pool: { minSize: 0, maxSize: 4 } })
  await Promise.all(Array.from({ length: 8 }, () => client.encrypt(key, cbc, iv)))
  const before = module.calls('C_Login')
  const destroyed: unknown[] = []
  client.on('destroyed', (event) => destroyed.push(event))
  const { currentSize } = client.stats()
  client.reset()
  expect(destroyed).toHaveLength(currentSize)
  // A private key is only seen by who is logged in.
  expect(await client.encrypt(key, cbc, iv)).toHaveLength(32)
  expect(module.calls('C_Login')).toBe(before)
})

test('a call that is refused because nobody is logged in logs in once more, and is answered', async () => {
  const client = await open()
  await client.encrypt(key, cbc, iv)
  const logins: number[] = []
  client.on('login', ({ generation }) => logins.push(generation))
  const before = module.calls('C_Login')
  module.fail('C_EncryptInit', 'CKR_USER_NOT_LOGGED_IN', { times: 1 })
  const answers = await Promise.all(Array.from({ length: 8 }, () => client.encrypt(key, cbc, iv)))
  expect(answers).toHaveLength(8)
  expect(module.calls('C_Login') - before).toBe(1)
  expect(logins).toEqual([2])
  expect(client.stats().keys.misses).toBeGreaterThan(1)
  await client.withSession(async (session) => {
    const found = await session.findKey(key)
    module.fail('C_EncryptInit', 'CKR_USER_NOT_LOGGED_IN', { times: 1 })
    expect(await session.encrypt(found, cbc, iv)).toHaveLength(32)
  })
})

test('a call that is refused for ever for want of a login fails after one new login', async () => {
  const client = await open()
  await client.encrypt(key, cbc, iv)
  module.fail('C_EncryptInit', 'CKR_USER_NOT_LOGGED_IN')
  const before = module.calls('C_Login')
  expect(await rejection(client.encrypt(key, cbc, iv))).toMatchObject({ rvName: 'CKR_USER_NOT_LOGGED_IN' })
  expect(module.calls('C_Login') - before).toBe(1)
})

test('a PIN that is rejected when it is sent again is not sent a third time', async () => {
  const client = await open()
  await client.encrypt(key, cbc, iv)
  module.fail('C_EncryptInit', 'CKR_USER_NOT_LOGGED_IN')
  module.fail('C_Login', 'CKR_PIN_INCORRECT')
  const before = module.calls('C_Login')
  const calls = Array.from({ length: 8 }, () => rejection(client.encrypt(key, cbc, iv)))
  for (const error of await Promise.all(calls)) expect(error).toMatchObject({ code: 'CREDENTIALS_REJECTED' })
  module.clear()
  expect(await rejection(client.encrypt(key, cbc, iv))).toMatchObject({ code: 'CREDENTIALS_REJECTED' })
  expect(module.calls('C_Login') - before).toBe(1)
})

const SHORT = { createTimeoutMs: 100, acquireTimeoutMs: 10_000, operationTimeoutMs: 10_000, minSize: 0 }

test('beside a login that hangs no second one is sent, and its late rejection counts', async () => {
  const client = await open({ connect: 'lazy', pool: SHORT })
  const before = module.calls('C_Login')
  module.hang('C_Login')
  module.fail('C_Login', 'CKR_PIN_INCORRECT')
  for (let attempt = 0; attempt < 3; attempt += 1) {
    expect(await rejection(client.encrypt(key, cbc, iv))).toMatchObject({
      code: expect.stringMatching(/CREATE_FAILED|CREATE_TIMEOUT/),
    })
  }
  expect(module.calls('C_Login') - before).toBe(1)
  module.release()
  // The call returns on its own thread: until its answer is here, nothing is sent.
  let error: unknown
  do error = await rejection(client.encrypt(key, cbc, iv))
  while ((error as { code: string }).code !== 'CREDENTIALS_REJECTED')
  expect(module.calls('C_Login') - before).toBe(1)
  await client.close()
  expect(module.openSessions()).toBe(0)
})

test('after a login that hung and then succeeded, the client works', async () => {
  const client = await open({ connect: 'lazy', pool: SHORT })
  module.hang('C_Login', { times: 1 })
  expect(await rejection(client.encrypt(key, cbc, iv))).toMatchObject({
    code: expect.stringMatching(/CREATE_FAILED|CREATE_TIMEOUT/),
  })
  module.release()
  let cipher: Buffer | undefined
  while (cipher === undefined) cipher = await client.encrypt(key, cbc, iv).catch(() => undefined)
  expect(cipher).toHaveLength(32)
  await client.close()
  expect(module.openSessions()).toBe(0)
})

test('a session of its own is opened, logged in and closed for each use', async () => {
  const client = await open({ connect: 'lazy' })
  for (let use = 0; use < 3; use += 1) {
    const before = [module.calls('C_OpenSession'), module.calls('C_Login'), module.calls('C_CloseSession')]
    const cipher = await client.withDedicatedSession(async (session) =>
      session.encrypt(await session.findKey(key), cbc, iv),
    )
    expect(cipher).toHaveLength(32)
    expect([module.calls('C_OpenSession'), module.calls('C_Login'), module.calls('C_CloseSession')]).toEqual(
      before.map((n) => n + 1),
    )
    expect(module.openSessions()).toBe(0)
  }
  await expect(client.withDedicatedSession(() => Promise.reject(new Error('mine')))).rejects.toThrow('mine')
  expect(module.openSessions()).toBe(0)
})

test('without a PIN nobody logs in, and private keys are not seen', async () => {
  const client = await open({ pin: undefined })
  const before = module.calls('C_Login')
  expect(await client.generateRandom(4)).toHaveLength(4)
  expect(await rejection(client.encrypt(key, cbc, iv))).toMatchObject({ code: 'KEY_NOT_FOUND' })
  expect(module.calls('C_Login')).toBe(before)
})
