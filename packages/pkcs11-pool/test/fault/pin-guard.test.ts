import { createChaos, type TokenFlag } from 'pkcs11-chaos'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import { type Client, type ClientOptions, createClient } from '../../src/index.js'
import { rejection } from '../support/rejection.js'

const token = useSoftHsmToken({ keys: [{ label: 'k' }] })
const chaos = createChaos({ module: token.module })
const clients: Client[] = []

const open = async (options: Partial<ClientOptions> = {}): Promise<Client> => {
  const { label, pinFile } = token
  const client = await createClient({
    module: chaos.modulePath,
    token: { label },
    pin: { file: pinFile },
    breaker: { initialBackoffMs: 20 },
    ...options,
  })
  clients.push(client)
  return client
}
const says = (...flags: TokenFlag[]) => chaos.rules.add({ tokenInfo: { set: flags } })
const logins = async () => (await chaos.counters()).functions.C_Login?.calls ?? 0
const encrypt = (client: Client) =>
  client.encrypt({ label: 'k' }, { mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.alloc(16) }, Buffer.alloc(8))

beforeEach(() => chaos.resetCounters())
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()))
  await chaos.rules.clear()
  await chaos.insertToken()
  const misuse = await chaos.misuse()
  if (misuse.length > 0) throw new Error(JSON.stringify(misuse))
})
afterAll(() => chaos.close())

test.each(['CKF_USER_PIN_FINAL_TRY', 'CKF_USER_PIN_LOCKED'] as const)(
  'a token that says %s is sent no PIN, however often it is asked for',
  async (flag) => {
    await says(flag)
    expect(await rejection(open())).toMatchObject({ code: 'CREDENTIALS_REJECTED', category: 'credentials' })
    const client = await open({ connect: 'lazy' })
    for (let call = 0; call < 3; call += 1) {
      expect(await rejection(encrypt(client))).toMatchObject({ code: 'CREDENTIALS_REJECTED' })
    }
    expect(client.health().state).toBe('locked')
    expect(await logins()).toBe(0)
    // The latch is lifted by an operator, not by the token.
    await chaos.rules.clear()
    expect(await rejection(encrypt(client))).toMatchObject({ code: 'CREDENTIALS_REJECTED' })
    expect(await logins()).toBe(0)
    await client.setCredentials({ pin: { file: token.pinFile } })
    expect(await encrypt(client)).toHaveLength(16)
    expect(await logins()).toBe(1)
  },
)

test.each(['CKF_USER_PIN_COUNT_LOW', 'CKF_USER_PIN_TO_BE_CHANGED'] as const)(
  'a token that says %s is sent the PIN once, and health tells of it',
  async (flag) => {
    await says(flag)
    const client = await open()
    expect(await encrypt(client)).toHaveLength(16)
    expect(await logins()).toBe(1)
    expect(client.health()).toMatchObject({ state: 'ok', pinFlags: [flag] })
  },
)

test('a PIN that was accepted is sent again where one try is left, and not where the PIN is locked', async () => {
  const client = await open()
  await encrypt(client)
  await says('CKF_USER_PIN_FINAL_TRY')
  await chaos.dropSessions()
  expect(await encrypt(client)).toHaveLength(16)
  expect(await logins()).toBe(2)
  await says('CKF_USER_PIN_LOCKED')
  await chaos.dropSessions()
  expect(await rejection(encrypt(client))).toMatchObject({ code: 'CREDENTIALS_REJECTED' })
  expect(client.health().state).toBe('locked')
  expect(await logins()).toBe(2)
})

test('a client is made where SoftHSM cannot read its token for a moment, before it looks at the PIN', async () => {
  await chaos.rules.add({ on: 'C_Login', fail: 'CKR_GENERAL_ERROR', times: 2 })
  await chaos.rules.add({ on: 'C_GetTokenInfo', fail: 'CKR_GENERAL_ERROR', times: 2 })
  expect(await encrypt(await open())).toHaveLength(16)
  expect((await chaos.counters()).logins).toMatchObject({ accepted: 1, failed: 2 })
})

test('a token that the module did not find when it was initialised is found when it is initialised again', async () => {
  await chaos.rules.add({ on: 'C_Initialize', act: 'removeToken', nth: 1, phase: 'after' })
  await chaos.rules.add({ on: 'C_Finalize', act: 'insertToken', nth: 2 })
  expect(await encrypt(await open())).toHaveLength(16)
  expect((await chaos.counters()).functions.C_Initialize?.calls).toBe(3)
})

test('a token that is not there is not found, after some tries', async () => {
  await chaos.removeToken()
  expect(await rejection(open())).toMatchObject({ code: 'TOKEN_NOT_FOUND' })
  expect(await logins()).toBe(0)
})
