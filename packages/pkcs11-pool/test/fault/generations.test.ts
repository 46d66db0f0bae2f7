import { expect, test } from 'vitest'
import type { Client } from '../../src/index.js'
import { breakerCloses } from '../support/next-event.js'
import { rejection } from '../support/rejection.js'
import { dropAllSessions, useWrappedToken } from '../support/wrapped-token.js'

const wrapped = useWrappedToken([{ label: 'k' }])
const { module, open } = wrapped
const iv = Buffer.alloc(16)
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv } as const
const key = { label: 'k' }
const encrypt = (client: Client) => client.encrypt(key, cbc, iv)

test('when all sessions have ended, calls that change nothing are answered all the same, after one new login', async () => {
  const client = await open({ pool: { maxSize: 8 } })
  const expected = await encrypt(client)
  await Promise.all(Array.from({ length: 8 }, () => encrypt(client)))
  const events: string[] = []
  client.on('tokenLost', ({ cause }) => events.push(cause.code))
  client.on('tokenBack', () => events.push('back'))
  const before = module.calls('C_Login')
  for (let round = 1; round <= 3; round += 1) {
    dropAllSessions(wrapped)
    const answers = await Promise.all(Array.from({ length: 16 }, () => encrypt(client)))
    for (const answer of answers) expect(answer).toEqual(expected)
    expect(module.calls('C_Login') - before).toBe(round)
    expect(client.stats()).toMatchObject({ generation: 1 + round, breakerOpened: 0 })
  }
  expect(events).toEqual(['SESSION_LOST', 'back', 'SESSION_LOST', 'back', 'SESSION_LOST', 'back'])
  expect(client.health().state).toBe('ok')
})

test('what makes a key is not made again, and its error says that the session is gone', async () => {
  const client = await open({ pool: { maxSize: 1, minSize: 1 } })
  await encrypt(client)
  dropAllSessions(wrapped)
  const before = module.calls('C_GenerateKey')
  const template = { CKA_LABEL: 'new', CKA_TOKEN: true, CKA_VALUE_LEN: 32 }
  expect(await rejection(client.keys.generate('CKM_AES_KEY_GEN', template))).toMatchObject({
    rvName: 'CKR_SESSION_HANDLE_INVALID',
  })
  expect(module.calls('C_GenerateKey') - before).toBe(1)
  await encrypt(client)
  expect(await client.keys.find({ label: 'new' })).toHaveLength(0)
})

test('a session that ended alone costs one look at the anchor, and no generation', async () => {
  const client = await open({ pool: { maxSize: 4 } })
  await encrypt(client)
  const before = [module.calls('C_GetSessionInfo'), module.calls('C_Login')]
  module.fail('C_EncryptInit', 'CKR_SESSION_HANDLE_INVALID', { times: 1 })
  expect(await encrypt(client)).toHaveLength(32)
  expect([module.calls('C_GetSessionInfo'), module.calls('C_Login')]).toEqual([before[0]! + 1, before[1]])
  expect(client.stats().generation).toBe(1)
})

test('a session of the user’s own ends with its objects, and says so without asking the token', async () => {
  const client = await open({ pool: { maxSize: 2 } })
  await client.withSession(async (session) => {
    const object = await session.generateKey('CKM_AES_KEY_GEN', { CKA_VALUE_LEN: 32, CKA_TOKEN: false })
    dropAllSessions(wrapped)
    // Another's call finds it out.
    await encrypt(client)
    const before = module.calls('C_EncryptInit')
    expect(await rejection(session.encrypt(object, cbc, iv))).toMatchObject({
      code: 'SESSION_LOST',
      category: 'session',
    })
    expect(await rejection(session.generateRandom(4))).toMatchObject({
      message: expect.stringContaining('the session objects made in it ended with it'),
    })
    expect(module.calls('C_EncryptInit')).toBe(before)
  })
  expect(await encrypt(client)).toHaveLength(32)
})

test('the session in which it shows fails by the token’s own answer, and is not used again', async () => {
  const client = await open({ pool: { maxSize: 2 } })
  await client.withSession(async (session) => {
    dropAllSessions(wrapped)
    expect(await rejection(session.generateRandom(4))).toMatchObject({ rvName: 'CKR_SESSION_HANDLE_INVALID' })
  })
  await encrypt(client)
  expect(client.stats()).toMatchObject({ generation: 2, breakerOpened: 0 })
})

test('a key’s handle of before is not used after, also where the token gave it to another object', async () => {
  const client = await open()
  await encrypt(client)
  const before = client.stats().keys.misses
  dropAllSessions(wrapped)
  await encrypt(client)
  expect(client.stats().keys.misses).toBeGreaterThan(before)
})

test('where nothing is to be had of the token after its sessions ended, the breaker opens, and service returns with it', async () => {
  const client = await open({ breaker: { initialBackoffMs: 2, maxBackoffMs: 5 } })
  await encrypt(client)
  module.fail('C_OpenSession', 'CKR_GENERAL_ERROR')
  dropAllSessions(wrapped)
  expect(await rejection(encrypt(client))).toMatchObject({ code: 'BREAKER_OPEN' })
  module.clear()
  await breakerCloses(client)
  expect(await encrypt(client)).toHaveLength(32)
})

test('a session that the token did not end, whatever it answers of the anchor, is closed', async () => {
  const client = await open({ pool: { maxSize: 3, minSize: 3 } })
  const sessions = await Promise.all([client.acquire(), client.acquire(), client.acquire()])
  expect(module.openSessions()).toBe(4)
  module.fail('C_GenerateRandom', 'CKR_SESSION_CLOSED', { times: 1 })
  module.fail('C_GetSessionInfo', 'CKR_SESSION_HANDLE_INVALID', { times: 1 })
  await rejection(sessions[0].generateRandom(4))
  for (const session of sessions) session.release()
  await encrypt(client)
  await client.close()
  expect(module.openSessions()).toBe(0)
})

test('a search that nobody was logged in for is made again, so that no key counts as missing because of it', async () => {
  const client = await open({ keys: { cache: false } })
  await encrypt(client)
  dropAllSessions(wrapped, 'C_Logout')
  expect(await encrypt(client)).toHaveLength(32)
  dropAllSessions(wrapped, 'C_Logout')
  expect(await client.keys.find({ label: 'k' })).toHaveLength(1)
  dropAllSessions(wrapped, 'C_Logout')
  await client.withSession(async (session) => {
    expect(await session.findObjects({ CKA_LABEL: 'k' })).toHaveLength(1)
  })
})

test('a search that nobody was logged in for is made again also where somebody logged in before it returned', async () => {
  const client = await open({ pool: { maxSize: 2, minSize: 2 } })
  await encrypt(client)
  dropAllSessions(wrapped, 'C_Logout')
  module.hang('C_FindObjectsFinal', { times: 1 })
  const found = client.keys.find({ label: 'k' })
  while (module.hanging() === 0) await new Promise(setImmediate)
  const before = module.calls('C_Login')
  expect(await client.generateRandom(8)).toHaveLength(8)
  await rejection(client.encrypt({ label: 'k', id: 99 }, cbc, iv))
  expect(module.calls('C_Login') - before).toBe(1)
  module.release()
  expect(await found).toHaveLength(1)
})

test('a login whose session has ended already is not held: no key counts as missing because nobody is logged in', async () => {
  module.fail('C_GetSessionInfo', 'CKR_SESSION_HANDLE_INVALID', { times: 1 })
  expect(await rejection(open())).toMatchObject({ rvName: 'CKR_SESSION_HANDLE_INVALID' })
  expect(module.openSessions()).toBe(0)
  expect(await encrypt(await open())).toHaveLength(32)
})
