import { expect, test } from 'vitest'
import type { Client } from '../../src/index.js'
import { breakerCloses, nextEvent } from '../support/next-event.js'
import { rejection } from '../support/rejection.js'
import { dropAllSessions, useWrappedToken } from '../support/wrapped-token.js'

const wrapped = useWrappedToken()
const { module, open } = wrapped
const often = { probeIntervalMs: 2, probeTimeoutMs: 5_000 }
const breaker = { failureThreshold: 3, initialBackoffMs: 2, maxBackoffMs: 5 }
const random = (client: Client) => client.generateRandom(4)

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate)
}

/** Waits until the function was called so many times more. */
async function moreCalls(name: `C_${string}`, times: number): Promise<void> {
  const enough = module.calls(name) + times
  await until(() => module.calls(name) >= enough)
}

test('a token that nobody uses is looked at, its idle sessions too, and none of it counts as a use', async () => {
  const client = await open({ health: often, pool: { minSize: 3, maxSize: 3 } })
  await until(() => client.stats().available === 3)
  const { acquired } = client.stats()
  await moreCalls('C_GetSessionInfo', 20)
  expect(client.stats()).toMatchObject({ acquired, currentSize: 3, destroyed: 0 })
  expect(client.health()).toMatchObject({ state: 'ok', lastSuccess: expect.any(Date) })
})

test('what is idle is trimmed at its time, though it is looked at', async () => {
  const client = await open({ health: often, pool: { minSize: 0, maxSize: 2, idleTimeoutMs: 1_000 } })
  await random(client)
  const trimmed = nextEvent(client, 'destroyed')
  expect(await trimmed).toMatchObject({ reason: 'idle' })
})

test('that an unused token fails is known before anybody calls: health first, then the breaker', async () => {
  const client = await open({ health: often, breaker })
  const opened = nextEvent(client, 'breaker', ({ state }) => state === 'open')
  module.fail('C_GetSessionInfo', 'CKR_DEVICE_ERROR')
  await until(() => client.health().state === 'down')
  expect(await opened).toMatchObject({ cause: { rvName: 'CKR_DEVICE_ERROR' } })
  expect(await rejection(random(client))).toMatchObject({ code: 'BREAKER_OPEN' })
  module.clear()
  await breakerCloses(client)
  expect(client.health().state).toBe('ok')
  expect(await random(client)).toHaveLength(4)
})

test('that an unused token dropped its sessions is found out and mended before anybody calls', async () => {
  const client = await open({ health: often })
  await random(client)
  const back = nextEvent(client, 'tokenBack')
  const before = module.calls('C_Login')
  dropAllSessions(wrapped)
  await back
  expect(module.calls('C_Login') - before).toBe(1)
  expect(client.stats()).toMatchObject({ generation: 2, breakerOpened: 0 })
})

test('that somebody logged everyone out is found out, and logged in again', async () => {
  const client = await open({ health: often })
  const { generation } = await nextLoginAfter(client, () => dropAllSessions(wrapped, 'C_Logout'))
  expect(generation).toBe(2)
  expect(client.stats().breakerOpened).toBe(0)
})

async function nextLoginAfter(client: Client, cause: () => void): Promise<{ generation: number }> {
  const login = nextEvent(client, 'login')
  cause()
  return login
}

test('nothing is sent to a token that a lazy client has not used yet, nor after the PIN was rejected', async () => {
  const lazy = await open({ health: often, connect: 'lazy' })
  expect(lazy.stats().currentSize).toBe(0)
  const used = await open({ health: often })
  await moreCalls('C_GetSessionInfo', 5)
  expect(module.openSessions()).toBe(1 + used.stats().currentSize)
})

test('with keepAlive the session that holds the login is looked at while others are in use', async () => {
  const client = await open({
    health: { ...often, keepAlive: true },
    pool: { minSize: 1, maxSize: 1, validateIfIdleMs: Infinity },
  })
  const enough = module.calls('C_GetSessionInfo') + 10
  while (module.calls('C_GetSessionInfo') < enough) expect(await random(client)).toHaveLength(4)
})
