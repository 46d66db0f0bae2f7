import { expect, test } from 'vitest'
import type { Client } from '../../src/index.js'
import { rejection } from '../support/rejection.js'
import { useWrappedToken } from '../support/wrapped-token.js'

const { module, open } = useWrappedToken([{ label: 'k' }])
const iv = Buffer.alloc(16)
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv } as const
const key = { label: 'k' }
const reason = new Error('changed my mind')

/** Resolves once as many calls hang in the module. */
async function hanging(count: number): Promise<void> {
  while (module.hanging() < count) await new Promise(setImmediate)
}

async function ready(maxSize: number): Promise<Client> {
  const client = await open({ pool: { maxSize, minSize: maxSize, operationTimeoutMs: 60_000 } })
  await client.encrypt(key, cbc, iv)
  return client
}

test('a call with a signal that has aborted is not made', async () => {
  const client = await ready(1)
  const before = module.calls('C_EncryptInit')
  const signal = AbortSignal.abort(reason)
  expect(await rejection(client.encrypt(key, cbc, iv, { signal }))).toBe(reason)
  expect(await rejection(client.acquire({ signal }))).toBe(reason)
  expect(await rejection(client.withSession(() => 1, { signal }))).toBe(reason)
  expect(await rejection(client.withDedicatedSession((session) => session.generateRandom(1), { signal }))).toBe(reason)
  expect(module.calls('C_EncryptInit')).toBe(before)
  expect(client.stats().inUse).toBe(0)
})

test('a call that waits for a session is taken back', async () => {
  const client = await ready(1)
  const session = await client.acquire()
  const before = module.calls('C_EncryptInit')
  const controller = new AbortController()
  const waiting = rejection(client.encrypt(key, cbc, iv, { signal: controller.signal }))
  controller.abort(reason)
  expect(await waiting).toBe(reason)
  expect(client.stats().waiting).toBe(0)
  session.release()
  expect(module.calls('C_EncryptInit')).toBe(before)
})

test('a call that waits behind another in its session is taken back at no cost to the token', async () => {
  const client = await ready(1)
  await client.withSession(async (session) => {
    const found = await session.findKey(key)
    module.hang('C_Encrypt', { times: 1 })
    const first = session.encrypt(found, cbc, iv)
    await hanging(1)
    const before = module.calls('C_EncryptInit')
    const controller = new AbortController()
    const second = rejection(session.encrypt(found, cbc, iv, { signal: controller.signal }))
    controller.abort(reason)
    expect(await second).toBe(reason)
    module.release()
    expect(await first).toHaveLength(32)
    expect(module.calls('C_EncryptInit')).toBe(before)
  })
})

test('a call under way rejects at once, and its session is nobody’s until the token has answered', async () => {
  const client = await ready(1)
  module.hang('C_Encrypt', { times: 1 })
  const controller = new AbortController()
  const running = rejection(client.encrypt(key, cbc, iv, { signal: controller.signal }))
  await hanging(1)
  controller.abort(reason)
  expect(await running).toBe(reason)
  expect(client.stats()).toMatchObject({ inUse: 1, available: 0 })
  const next = client.encrypt(key, cbc, iv)
  expect(client.stats().waiting).toBe(1)
  module.release()
  expect(await next).toHaveLength(32)
  expect(client.stats()).toMatchObject({ inUse: 0, created: 1 })
})

test('one caller’s abort does not end the search that others wait for', async () => {
  const client = await ready(2)
  client.keys.forget()
  module.hang('C_FindObjects', { times: 1 })
  const before = module.calls('C_FindObjectsInit')
  const controller = new AbortController()
  const first = rejection(client.encrypt(key, cbc, iv, { signal: controller.signal }))
  const second = client.encrypt(key, cbc, iv)
  await hanging(1)
  controller.abort(reason)
  expect(await first).toBe(reason)
  module.release()
  expect(await second).toHaveLength(32)
  expect(module.calls('C_FindObjectsInit') - before).toBe(1)
})

test('withSession rejects at once and takes the session back, whatever its function does', async () => {
  const client = await ready(1)
  const controller = new AbortController()
  const entered = deferred()
  let late: Promise<unknown> = Promise.resolve()
  const running = client.withSession(
    async (session) => {
      entered.resolve()
      await new Promise((resolve) => controller.signal.addEventListener('abort', resolve))
      late = rejection(session.generateRandom(1))
      await late
    },
    { signal: controller.signal },
  )
  await entered.promise
  controller.abort(reason)
  expect(await rejection(running)).toBe(reason)
  expect(await client.encrypt(key, cbc, iv)).toHaveLength(32)
  expect([reason, expect.objectContaining({ code: 'SESSION_RELEASED' })]).toContainEqual(await late)
})

test('withSession gives up after timeoutMs, the waiting for a session included', async () => {
  const client = await ready(1)
  const never = client.withSession(() => new Promise(() => undefined), { timeoutMs: 20 })
  const behind = client.withSession(() => 1, { timeoutMs: 1 })
  expect(await rejection(behind)).toMatchObject({ code: 'ACQUIRE_TIMEOUT' })
  expect(await rejection(never)).toMatchObject({ code: 'OPERATION_TIMEOUT' })
  expect(await client.encrypt(key, cbc, iv)).toHaveLength(32)
})

function deferred() {
  let resolve = (): void => undefined
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

test('a search that others may wait for keeps its session to its end, though its caller has gone', async () => {
  const client = await open({ pool: { maxSize: 1, minSize: 1, operationTimeoutMs: 60_000 } })
  const controller = new AbortController()
  module.hang('C_FindObjectsInit')
  const asked = rejection(client.encrypt(key, cbc, iv, { signal: controller.signal }))
  await hanging(1)
  controller.abort(reason)
  expect(await asked).toBe(reason)
  // what it is followed by, in the same session
  module.hang('C_GetSessionInfo')
  module.release('C_FindObjectsInit')
  while (module.running('C_GetSessionInfo') === 0) await new Promise(setImmediate)
  expect(client.stats()).toMatchObject({ inUse: 1, available: 0 })
  module.release()
  while (client.stats().available === 0) await new Promise(setImmediate)
})
