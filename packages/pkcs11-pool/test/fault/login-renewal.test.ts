import { createChaos } from 'pkcs11-chaos'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Client, type ClientOptions, createClient } from '../../src/index.js'
import { until } from '../support/engine-on-token.js'
import { nextEvent } from '../support/next-event.js'
import { rejection } from '../support/rejection.js'

const token = useSoftHsmToken({ keys: [{ label: 'k' }] })
const chaos = createChaos({ module: token.module })
let client: Client

const open = async (options: Partial<ClientOptions>) => {
  client = await createClient({
    module: chaos.modulePath,
    token: { label: token.label },
    pin: { file: token.pinFile },
    ...options,
  })
}
const encrypt = () =>
  client.encrypt({ label: 'k' }, { mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.alloc(16) }, Buffer.alloc(8))

beforeEach(() => chaos.resetCounters())
afterEach(async () => {
  await chaos.rules.clear()
  await client.close()
})
afterAll(() => chaos.close())

test('a token that has no room for another session is logged in again in the one that held the login', async () => {
  await open({ pool: { minSize: 2, maxSize: 2 } })
  await until(() => client.stats().currentSize === 2)
  await chaos.rules.add({ sessionLimit: 3 })
  await chaos.logOut()
  expect(await encrypt()).toHaveLength(16)
  const { functions, logins, sessions } = await chaos.counters()
  expect(logins).toMatchObject({ accepted: 2 })
  expect(functions.C_OpenSession?.calls).toBe(3)
  expect(sessions.open).toBe(3)
})

test('where the session that held the login is gone, another one holds it', async () => {
  await open({ pool: { minSize: 2, maxSize: 2 } })
  await until(() => client.stats().currentSize === 2)
  await chaos.rules.add({ sessionLimit: 3 })
  await chaos.logOut()
  await chaos.rules.add({ on: 'C_Login', fail: 'CKR_SESSION_HANDLE_INVALID', times: 1 })
  expect(await encrypt()).toHaveLength(16)
  await until(() => client.stats().currentSize === 2)
  expect((await chaos.counters()).sessions.open).toBe(3)
})

describe('a call that names no time of its own waits no longer than operationTimeoutMs', () => {
  const patient = { pool: { operationTimeoutMs: 200, createTimeoutMs: 600_000 }, health: { probeTimeoutMs: 600_000 } }
  const loggedOut = (fn: 'C_EncryptInit' | 'C_GenerateRandom') =>
    chaos.rules.add({ on: fn, fail: 'CKR_USER_NOT_LOGGED_IN', times: 1 })
  const late = { code: 'OPERATION_TIMEOUT', category: 'overload' }

  test('for a new login, which goes on', async () => {
    await open(patient)
    await encrypt()
    await chaos.rules.add({ on: 'C_Login', hang: true })
    await chaos.logOut()
    await loggedOut('C_EncryptInit')
    expect(await rejection(encrypt())).toMatchObject(late)
    const loggedIn = nextEvent(client, 'login')
    await chaos.rules.clear()
    await loggedIn
    expect(await encrypt()).toHaveLength(16)
  })

  test('for a new login, in a session of its own', async () => {
    await open(patient)
    const session = await client.acquire()
    await chaos.rules.add({ on: 'C_Login', hang: true })
    await chaos.logOut()
    await loggedOut('C_GenerateRandom')
    expect(await rejection(session.generateRandom(4))).toMatchObject(late)
    session.release()
  })

  test('for a token that is being looked at', async () => {
    await open(patient)
    await encrypt()
    await chaos.rules.add({ on: 'C_EncryptInit', fail: 'CKR_SESSION_HANDLE_INVALID', times: 1 })
    await chaos.rules.add({ on: 'C_GetSessionInfo', hang: true })
    expect(await rejection(encrypt())).toMatchObject(late)
  })
})

test('a new login that fails once is tried again with the next probe, without a call', async () => {
  await open({ health: { probeIntervalMs: 10 } })
  await encrypt()
  await chaos.rules.add({ on: 'C_Login', fail: 'CKR_DEVICE_ERROR', times: 1 })
  const loggedIn = nextEvent(client, 'login')
  await chaos.logOut()
  await loggedIn
  await until(() => client.health().state === 'ok')
  expect((await chaos.counters()).logins).toMatchObject({ accepted: 2, failed: 1 })
})
