import { expect, test } from 'vitest'
import type { Client } from '../../src/index.js'
import { breakerCloses, nextEvent } from '../support/next-event.js'
import { rejection } from '../support/rejection.js'
import { dropAllSessions, useWrappedToken } from '../support/wrapped-token.js'

const wrapped = useWrappedToken([{ label: 'k' }])
const { module, open } = wrapped
const OPTIONS = {
  breaker: { failureThreshold: 3, initialBackoffMs: 2, maxBackoffMs: 5 },
  retry: { maxAttempts: 1 },
}
const encrypt = (client: Client) =>
  client.encrypt({ label: 'k' }, { mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.alloc(16) }, Buffer.alloc(16))
const opens = (client: Client) => nextEvent(client, 'breaker', ({ state }) => state === 'open')

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate)
}

/** Waits until the function was called so many times more. */
async function moreCalls(name: `C_${string}`, times: number): Promise<void> {
  const enough = module.calls(name) + times
  await until(() => module.calls(name) >= enough)
}

test('a module that answers from memory while its token is gone does not hide that: the token itself is asked', async () => {
  const client = await open(OPTIONS)
  await encrypt(client)
  const opened = opens(client)
  // What tpm2-pkcs11 answers without its TPM.
  for (const name of ['C_EncryptInit', 'C_GenerateRandom'] as const) module.fail(name, 'CKR_GENERAL_ERROR')
  for (let call = 0; call < 3; call += 1)
    expect(await rejection(encrypt(client))).toMatchObject({ rvName: 'CKR_GENERAL_ERROR' })
  expect(await opened).toMatchObject({ cause: { fn: 'C_GenerateRandom' } })
  module.clear()
  await breakerCloses(client)
  expect(await encrypt(client)).toHaveLength(32)
})

test('errors that a module cannot name open no breaker while its token answers', async () => {
  const client = await open(OPTIONS)
  await encrypt(client)
  module.fail('C_EncryptInit', 'CKR_GENERAL_ERROR')
  const asked = module.calls('C_GenerateRandom')
  for (let call = 0; call < 12; call += 1) await rejection(encrypt(client))
  await until(() => module.calls('C_GenerateRandom') > asked)
  await until(() => client.stats().engine.running === 0)
  expect(client.stats()).toMatchObject({ breakerOpened: 0, generation: 1 })
})

test('no PIN is sent to a token that does not answer, and it comes back without anybody acting', async () => {
  const client = await open(OPTIONS)
  await encrypt(client)
  const logins = module.calls('C_Login')
  const opened = opens(client)
  module.fail('C_GenerateRandom', 'CKR_GENERAL_ERROR')
  // What a module answers that cannot reach its token.
  module.fail('C_Login', 'CKR_PIN_INCORRECT')
  dropAllSessions(wrapped)
  expect(await rejection(encrypt(client))).toMatchObject({ code: 'BREAKER_OPEN' })
  await opened
  // Also when the module was initialised again.
  await moreCalls('C_Initialize', 2)
  expect(module.calls('C_Login')).toBe(logins)
  expect(client.health().state).toBe('down')
  module.clear()
  await breakerCloses(client)
  expect(await encrypt(client)).toHaveLength(32)
  expect(module.calls('C_Login')).toBe(logins + 1)
})

test('a token that gives no random bytes is logged in all the same, and not missed for giving none', async () => {
  for (const rv of ['CKR_RANDOM_NO_RNG', 'CKR_USER_NOT_LOGGED_IN', 'CKR_GENERAL_ERROR'] as const) {
    module.fail('C_GenerateRandom', rv)
    const client = await open(OPTIONS)
    const back = nextEvent(client, 'tokenBack')
    const logins = module.calls('C_Login')
    dropAllSessions(wrapped)
    expect(await encrypt(client)).toHaveLength(32)
    await back
    expect(module.calls('C_Login')).toBe(logins + 1)
    expect(client.stats().breakerOpened).toBe(0)
    await client.close()
  }
})

test('sessions in which the token does not answer any more are opened anew, then the module is initialised again', async () => {
  const client = await open(OPTIONS)
  await encrypt(client)
  const [opened, initialized] = [opens(client), module.calls('C_Initialize')]
  // What the client of p11-kit answers once its server has died, until C_Finalize.
  const gone = ['C_EncryptInit', 'C_GetSessionInfo', 'C_GetSlotList', 'C_OpenSession'] as const
  for (const name of gone) module.fail(name, 'CKR_DEVICE_ERROR')
  for (let call = 0; call < 3; call += 1) await rejection(encrypt(client))
  await opened
  await until(() => module.calls('C_Initialize') > initialized)
  module.clear()
  await breakerCloses(client)
  expect(await encrypt(client)).toHaveLength(32)
  expect(client.stats().generation).toBeGreaterThan(1)
})

test('of two clients whose token is away both come back, and neither closes what is the other’s', async () => {
  const clients = [await open(OPTIONS), await open(OPTIONS)]
  await Promise.all(clients.map(encrypt))
  const opened = clients.map(opens)
  for (const name of ['C_EncryptInit', 'C_GetSessionInfo', 'C_OpenSession'] as const)
    module.fail(name, 'CKR_DEVICE_ERROR')
  for (let call = 0; call < 3; call += 1) await Promise.all(clients.map((client) => rejection(encrypt(client))))
  await Promise.all(opened)
  await moreCalls('C_Initialize', 2)
  module.clear()
  await Promise.all(clients.map(breakerCloses))
  for (const client of clients) expect(await encrypt(client)).toHaveLength(32)
  for (const client of clients) await client.close()
  await until(() => module.openSessions() === 0)
})
