import { expect, test } from 'vitest'
import type { Client } from '../../src/index.js'
import { rejection } from '../support/rejection.js'
import { aesKey, useWrappedToken } from '../support/wrapped-token.js'

const { module, open } = useWrappedToken()
const iv = Buffer.alloc(16)
const key = { label: 'aes' }
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv } as const
const one = { pool: { minSize: 0, maxSize: 1 } }
const random = (client: Client) => client.generateRandom(4)
const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise(setImmediate)
}

test('is told by sessions of the user’s own as by the client’s calls, for worse and for better', async () => {
  const client = await open(one)
  module.fail('C_GenerateRandom', 'CKR_DEVICE_ERROR', { times: 1 })
  const failed = client.withSession((session) => session.generateRandom(4))
  expect(await rejection(failed)).toMatchObject({ category: 'token' })
  expect(client.health()).toMatchObject({ state: 'down', lastFailure: { code: 'CRYPTOKI' } })
  await client.withSession((session) => session.generateRandom(4))
  expect(client.health().state).toBe('ok')
})

test('is told by sessions that cannot be opened, and those of one use', async () => {
  const client = await open(one)
  module.fail('C_OpenSession', 'CKR_DEVICE_ERROR', { times: 1 })
  expect(await rejection(random(client))).toMatchObject({ code: 'CREATE_FAILED' })
  expect(client.health().state).toBe('down')
  await random(client)
  expect(client.health().state).toBe('ok')
  module.fail('C_OpenSession', 'CKR_DEVICE_ERROR', { times: 1 })
  expect(await rejection(client.withDedicatedSession((session) => session.generateRandom(4)))).toMatchObject({
    category: 'token',
  })
  expect(client.health().state).toBe('down')
  await client.withDedicatedSession((session) => session.generateRandom(4))
  expect(client.health().state).toBe('ok')
})

test('is not told by a queue that is full, nor by a caller without patience or with a mistake', async () => {
  const client = await open({ pool: { ...one.pool, maxWaiters: 1 } })
  const session = await client.acquire()
  const waiting = random(client)
  expect(await rejection(random(client))).toMatchObject({ code: 'QUEUE_FULL' })
  session.release()
  await waiting
  expect(await rejection(client.generateRandom(4, { timeoutMs: 0 }))).toMatchObject({ category: 'overload' })
  expect(await rejection(client.encrypt({ label: 'none' }, cbc, iv))).toMatchObject({ code: 'KEY_NOT_FOUND' })
  expect(client.health()).toMatchObject({ state: 'ok', lastFailure: undefined })
})

test('is told by the items of a batch, and so is what becomes of its session', async () => {
  const client = await open(one)
  const digest = { op: 'digest', mechanism: 'CKM_SHA256', data: iv } as const
  module.fail('C_DigestInit', 'CKR_DEVICE_ERROR', { times: 1 })
  expect(await client.batch([digest, digest])).toMatchObject([{ status: 'rejected' }, { status: 'fulfilled' }])
  expect(client.health().state).toBe('down')
  expect(client.stats().destroyed).toBe(1)
  expect(await client.batch([digest])).toMatchObject([{ status: 'fulfilled' }])
  expect(client.health().state).toBe('ok')
})

test('a search that fails costs the session it ran in, and not those of the others who waited for it', async () => {
  const client = await open({ pool: { minSize: 0, maxSize: 8 }, retry: { maxAttempts: 1 } })
  await client.keys.import(aesKey('aes', 1, Buffer.alloc(32, 1)))
  const sessions = await Promise.all(Array.from({ length: 8 }, () => client.acquire()))
  for (const session of sessions) session.release()
  module.fail('C_FindObjectsInit', 'CKR_DEVICE_ERROR', { times: 1 })
  const failures = await Promise.all(Array.from({ length: 8 }, () => rejection(client.encrypt(key, cbc, iv))))
  for (const failure of failures) expect(failure).toMatchObject({ fn: 'C_FindObjectsInit' })
  expect(client.stats()).toMatchObject({ destroyed: 1, currentSize: 7, available: 7 })
  expect(client.health().state).toBe('down')
  module.fail('C_FindObjectsInit', 'CKR_SESSION_CLOSED', { times: 1 })
  await Promise.all(Array.from({ length: 7 }, () => client.encrypt(key, cbc, iv)))
  expect(client.stats()).toMatchObject({ destroyed: 2 })
})

test('a call that is made again after a login is looked at like the first', async () => {
  const client = await open(one)
  await client.withSession(async (session) => {
    module.fail('C_GenerateRandom', 'CKR_USER_NOT_LOGGED_IN', { times: 1 })
    module.hang('C_Login')
    const failure = rejection(session.generateRandom(4))
    await until(() => module.hanging() === 1)
    // The first one is asked for in the session that holds the login.
    module.fail('C_GenerateRandom', 'CKR_SESSION_CLOSED', { from: 2, times: 1 })
    module.release()
    expect(await failure).toMatchObject({ rvName: 'CKR_SESSION_CLOSED' })
  })
  await until(() => client.stats().destroying === 0)
  expect(client.stats()).toMatchObject({ destroyed: 1, currentSize: 0 })
})

test('what a call answers that nobody waits for any more is heeded all the same', async () => {
  const client = await open(one)
  await random(client)
  const gone = new AbortController()
  module.hang('C_GenerateRandom')
  module.fail('C_GenerateRandom', 'CKR_SESSION_CLOSED', { times: 1 })
  const aborted = rejection(client.generateRandom(4, { signal: gone.signal }))
  await until(() => module.hanging() === 1)
  gone.abort(new Error('not needed any more'))
  expect(await aborted).toMatchObject({ message: 'not needed any more' })
  module.release()
  await until(() => client.stats().inUse === 0)
  expect(client.stats()).toMatchObject({ destroyed: 1, currentSize: 0 })
})
