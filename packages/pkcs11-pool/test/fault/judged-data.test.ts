import { createCipheriv } from 'node:crypto'
import { createChaos, type Tally } from 'pkcs11-chaos'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import { type Client, createClient } from '../../src/index.js'
import { rejection } from '../support/rejection.js'
import { aesKey } from '../support/wrapped-token.js'

const token = useSoftHsmToken()
const chaos = createChaos({ module: token.module })
const value = Buffer.alloc(32, 1)
const iv = Buffer.alloc(16)
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv } as const
const key = { label: 'aes' }
let client: Client

beforeEach(async () => {
  client = await createClient({
    module: chaos.modulePath,
    token: { label: token.label },
    pin: { file: token.pinFile },
    pool: { minSize: 0, maxSize: 2 },
    breaker: { failureThreshold: 3, initialBackoffMs: 5 },
    health: { probeIntervalMs: Number.POSITIVE_INFINITY },
  })
  await client.keys.import(aesKey('aes', 1, value))
  await chaos.resetCounters()
})
afterEach(async () => {
  await chaos.rules.clear()
  await client.keys.destroy(key)
  await client.close()
})
afterAll(() => chaos.close())

/** Whole blocks that end in a zero, which is no padding. */
function badlyPadded(): Buffer {
  const cipher = createCipheriv('aes-256-cbc', value, iv).setAutoPadding(false)
  return Buffer.concat([cipher.update(Buffer.alloc(32)), cipher.final()])
}

const plain = Buffer.from('what was encrypted')
const roundTrip = async () => client.decrypt(key, cbc, await client.encrypt(key, cbc, plain))
const failsOnce = async () =>
  expect(await rejection(client.decrypt(key, cbc, badlyPadded()))).toMatchObject({ rvName: 'CKR_GENERAL_ERROR' })
const isQuiet = () => client.stats().inUse + client.stats().destroying === 0
const counted = (name: keyof Tally['functions']) => async () => (await chaos.counters()).functions[name]?.calls ?? 0
const [opened, closed] = [counted('C_OpenSession'), counted('C_CloseSession')]

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate)
}

test('wrong padding costs no session, and neither health nor breaker hear of it', async () => {
  await roundTrip()
  await chaos.resetCounters()
  for (let call = 0; call < 12; call += 1) await failsOnce()
  await Promise.all(Array.from({ length: 8 }, failsOnce))
  expect(client.health()).toMatchObject({ state: 'ok', lastFailure: undefined })
  await until(isQuiet)
  // At most one more, as eight at once would have opened it anyhow.
  expect(await opened()).toBeLessThanOrEqual(1)
  expect(await closed()).toBe(0)
  expect(await roundTrip()).toEqual(plain)
  expect(client.stats()).toMatchObject({ destroyed: 0, breakerOpened: 0, generation: 1 })
})

test('nor in a batch, whose other items are right', async () => {
  const decrypt = (data: Buffer) => ({ op: 'decrypt', key, mechanism: cbc, data }) as const
  const good = await client.encrypt(key, cbc, plain)
  for (let round = 0; round < 4; round += 1) {
    const results = await client.batch([decrypt(good), decrypt(badlyPadded()), decrypt(good)])
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  }
  await until(isQuiet)
  expect(await closed()).toBe(0)
  expect(client.health().state).toBe('ok')
})

test('a session that does not answer when it is looked at is closed', async () => {
  await roundTrip()
  await chaos.rules.add({ on: 'C_GetSessionInfo', fail: 'CKR_DEVICE_ERROR', times: 1 })
  await failsOnce()
  await until(isQuiet)
  expect(client.stats()).toMatchObject({ destroyed: 1, currentSize: 0 })
  await chaos.rules.add({ on: 'C_GenerateRandom', fail: 'CKR_DEVICE_ERROR', times: 1 })
  await roundTrip()
  await failsOnce()
  await until(isQuiet)
  expect(client.stats()).toMatchObject({ destroyed: 2, currentSize: 0 })
  expect(await roundTrip()).toEqual(plain)
})

test('a session in which nothing but failures comes is closed all the same', async () => {
  client.resize({ minSize: 0, maxSize: 1 })
  await roundTrip()
  for (let call = 0; call < 17; call += 1) await failsOnce()
  await until(isQuiet)
  expect(client.stats()).toMatchObject({ destroyed: 1 })
  expect(client.health().state).toBe('ok')
})

test('a token that is gone is found out, whatever it answers to data', async () => {
  await roundTrip()
  for (const on of ['C_Decrypt', 'C_GenerateRandom', 'C_OpenSession'] as const) {
    await chaos.rules.add({ on, fail: 'CKR_GENERAL_ERROR' })
  }
  while (client.health().breaker.state === 'closed') await rejection(client.decrypt(key, cbc, badlyPadded()))
  expect(client.health().state).toBe('down')
  await chaos.rules.clear()
  while (client.health().breaker.state !== 'closed') await new Promise(setImmediate)
  expect(await roundTrip()).toEqual(plain)
})
