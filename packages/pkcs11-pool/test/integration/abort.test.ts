import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import type { Client, Session } from '../../src/index.js'
import { rejection } from '../support/rejection.js'
import { useWrappedToken } from '../support/wrapped-token.js'

const { module, open } = useWrappedToken([{ label: 'k' }])
const iv = Buffer.alloc(16)
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv } as const
const key = { label: 'k' }
const reason = new Error('changed my mind')
const LONG = { operationTimeoutMs: 60_000, createTimeoutMs: 60_000 }

/** Resolves once as many calls hang in the module. */
async function hanging(count: number): Promise<void> {
  while (module.hanging() < count) await new Promise(setImmediate)
}

/** Every way to use a client for which it needs a session. */
const WAYS: [string, (client: Client, options: { signal: AbortSignal }) => Promise<unknown>][] = [
  ['encrypt', (client, options) => client.encrypt(key, cbc, iv, options)],
  ['batch', (client, options) => client.batch([{ op: 'encrypt', key, mechanism: cbc, data: iv }], options)],
  ['keys.get', (client, options) => client.keys.get(key, options)],
  ['acquire', (client, options) => client.acquire(options)],
  ['withSession', (client, options) => client.withSession((session) => session.generateRandom(1), options)],
  ['withDedicatedSession', (client, options) => client.withDedicatedSession(() => 1, options)],
]
const POOLED = WAYS.filter(([name]) => name !== 'withDedicatedSession')

describe('an abort rejects at once', () => {
  test.each(WAYS)('%s while the first login is under way, which others get the good of', async (_, use) => {
    const client = await open({ connect: 'lazy', pool: { ...LONG, maxSize: 2 } })
    const before = module.calls('C_Login')
    module.hang('C_Login', { times: 1 })
    const controller = new AbortController()
    const aborted = rejection(use(client, { signal: controller.signal }))
    await hanging(1)
    const other = client.encrypt(key, cbc, iv)
    controller.abort(reason)
    expect(await aborted).toBe(reason)
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0)
    module.release()
    expect(await other).toHaveLength(32)
    // A session of one's own sends a login for itself, after the one that is under way.
    expect(module.calls('C_Login') - before).toBeLessThanOrEqual(2)
  })

  test.each(WAYS)('%s while a session is being opened, which is kept for the next or closed', async (_, use) => {
    const client = await open({ pool: { ...LONG, minSize: 0, maxSize: 1 } })
    module.hang('C_OpenSession', { times: 1 })
    const controller = new AbortController()
    const aborted = rejection(use(client, { signal: controller.signal }))
    await hanging(1)
    controller.abort(reason)
    expect(await aborted).toBe(reason)
    module.release()
    expect(await client.encrypt(key, cbc, iv)).toHaveLength(32)
    expect(client.stats()).toMatchObject({ currentSize: 1, inUse: 0, waiting: 0 })
    // One that holds the login, and one of the pool's.
    while (module.openSessions() > 2) await new Promise(setImmediate)
    await client.close()
    expect(module.openSessions()).toBe(0)
  })

  test.each(POOLED)('%s while all sessions are out', async (_, use) => {
    const client = await open({ pool: { maxSize: 1 } })
    const session = await client.acquire()
    const controller = new AbortController()
    const aborted = rejection(use(client, { signal: controller.signal }))
    controller.abort(reason)
    expect(await aborted).toBe(reason)
    expect(client.stats()).toMatchObject({ waiting: 0, inUse: 1 })
    session.release()
  })

  test('a call that is logging in again because it was refused', async () => {
    const client = await open({ pool: { ...LONG, maxSize: 2 } })
    await client.encrypt(key, cbc, iv)
    module.fail('C_EncryptInit', 'CKR_USER_NOT_LOGGED_IN', { times: 1 })
    module.hang('C_Login')
    const controller = new AbortController()
    const aborted = rejection(client.encrypt(key, cbc, iv, { signal: controller.signal }))
    await hanging(1)
    controller.abort(reason)
    expect(await aborted).toBe(reason)
    module.release()
    expect(await client.encrypt(key, cbc, iv)).toHaveLength(32)
  })

  test('a call of a session that is logging in again because it was refused', async () => {
    const client = await open({ pool: { ...LONG, maxSize: 2 } })
    const session = await client.acquire()
    const found = await session.findKey(key)
    module.fail('C_EncryptInit', 'CKR_USER_NOT_LOGGED_IN', { times: 1 })
    module.hang('C_Login')
    const controller = new AbortController()
    const aborted = rejection(session.encrypt(found, cbc, iv, { signal: controller.signal }))
    await hanging(1)
    controller.abort(reason)
    expect(await aborted).toBe(reason)
    module.release()
    session.release()
  })

  test('a batch under way, whose session nobody has until the module has answered', async () => {
    const client = await open({ pool: { ...LONG, minSize: 1, maxSize: 1 } })
    await client.encrypt(key, cbc, iv)
    module.hang('C_Encrypt', { times: 1 })
    const controller = new AbortController()
    const items = [1, 2, 3].map(() => ({ op: 'encrypt', key, mechanism: cbc, data: iv }) as const)
    const aborted = rejection(client.batch(items, { signal: controller.signal }))
    await hanging(1)
    controller.abort(reason)
    expect(await aborted).toBe(reason)
    expect(client.stats()).toMatchObject({ inUse: 1, available: 0 })
    module.release()
    expect(await client.encrypt(key, cbc, iv)).toHaveLength(32)
  })

  test('withSession inside a call, and its session is taken back when the call has returned', async () => {
    const client = await open({ pool: { ...LONG, minSize: 1, maxSize: 1 } })
    await client.encrypt(key, cbc, iv)
    module.hang('C_Encrypt', { times: 1 })
    const controller = new AbortController()
    let kept: Session | undefined
    const running = rejection(
      client.withSession(
        async (session) => {
          kept = session
          return session.encrypt(await session.findKey(key), cbc, iv)
        },
        { signal: controller.signal },
      ),
    )
    await hanging(1)
    controller.abort(reason)
    expect(await running).toBe(reason)
    expect(await rejection((kept as Session).generateRandom(1))).toMatchObject({ code: 'SESSION_RELEASED' })
    const next = client.acquire()
    expect(client.stats()).toMatchObject({ inUse: 1, waiting: 1 })
    module.release()
    ;(await next).release()
  })

  test('withDedicatedSession inside a call, and its session is closed when the call has returned', async () => {
    const client = await open({ connect: 'lazy', pool: LONG })
    module.hang('C_Encrypt', { times: 1 })
    const controller = new AbortController()
    const running = rejection(
      client.withDedicatedSession(async (session) => session.encrypt(await session.findKey(key), cbc, iv), {
        signal: controller.signal,
      }),
    )
    await hanging(1)
    controller.abort(reason)
    expect(await running).toBe(reason)
    expect(module.openSessions()).toBe(1)
    module.release()
    while (module.openSessions() > 0) await new Promise(setImmediate)
  })
})

describe('timeoutMs bounds a call', () => {
  test('that waits for somebody else’s search, which goes on', async () => {
    const client = await open({ pool: { ...LONG, minSize: 2, maxSize: 2 } })
    module.hang('C_FindObjects', { times: 1 })
    const first = client.encrypt(key, cbc, iv)
    await hanging(1)
    expect(await rejection(client.encrypt(key, cbc, iv, { timeoutMs: 1 }))).toMatchObject({ code: 'OPERATION_TIMEOUT' })
    module.release()
    expect(await first).toHaveLength(32)
  })

  test('that comes after somebody waited for a search in vain: it searches in a session of its own', async () => {
    const client = await open({ pool: { ...LONG, minSize: 3, maxSize: 3 } })
    module.hang('C_FindObjects', { times: 1 })
    const first = client.encrypt(key, cbc, iv)
    await hanging(1)
    await rejection(client.encrypt(key, cbc, iv, { timeoutMs: 1 }))
    expect(await client.encrypt(key, cbc, iv)).toHaveLength(32)
    expect(module.hanging()).toBe(1)
    module.release()
    expect(await first).toHaveLength(32)
  })

  test('that searches for its key itself', async () => {
    const client = await open({ pool: { ...LONG, maxSize: 2 } })
    module.hang('C_FindObjects', { times: 1 })
    expect(await rejection(client.encrypt(key, cbc, iv, { timeoutMs: 1 }))).toMatchObject({ code: 'OPERATION_TIMEOUT' })
    module.release()
    expect(await client.encrypt(key, cbc, iv)).toHaveLength(32)
  })

  test('that opens a session of its own', async () => {
    // Nobody else opens one.
    const client = await open({ pool: { ...LONG, minSize: 0 } })
    for (const name of ['C_OpenSession', 'C_Login'] as const) {
      module.hang(name, { times: 1 })
      const running = rejection(client.withDedicatedSession(() => 1, { timeoutMs: 1 }))
      expect(await running).toMatchObject({ code: 'OPERATION_TIMEOUT' })
      module.release()
    }
    // The calls that were given up may still be returning.
    await client.close()
    while (module.openSessions() > 0) await new Promise(setImmediate)
  })
})

test('a signal that many calls share has one listener, no warning is printed, and none is kept for calls that are over', async () => {
  const client = await open({ pool: { maxSize: 32 } })
  const { signal } = new AbortController()
  const warnings: Error[] = []
  const warned = (warning: Error) => warnings.push(warning)
  process.on('warning', warned)
  const calls = Array.from({ length: 64 }, () => client.encrypt(key, cbc, iv, { signal }))
  expect(getEventListeners(signal, 'abort')).toHaveLength(1)
  await Promise.all(calls)
  process.off('warning', warned)
  expect(warnings).toEqual([])
  await client.withSession(async (session) => session.encrypt(await session.findKey(key), cbc, iv, { signal }), {
    signal,
  })
  await client.withDedicatedSession(() => 1, { signal })
  expect(getEventListeners(signal, 'abort')).toHaveLength(0)
})

test('what makes a key and was aborted while the module had it is not made again', async () => {
  const client = await open({ pool: { ...LONG, maxSize: 1 } })
  module.hang('C_GenerateKey', { times: 1 })
  const before = module.calls('C_GenerateKey')
  const controller = new AbortController()
  const template = { CKA_TOKEN: true, CKA_LABEL: 'once', CKA_VALUE_LEN: 32 } as const
  const aborted = rejection(client.keys.generate('CKM_AES_KEY_GEN', template, { signal: controller.signal }))
  await hanging(1)
  controller.abort(reason)
  expect(await aborted).toBe(reason)
  module.release()
  // It took effect behind its caller's back, and is seen at once.
  expect(await client.keys.find({ label: 'once' })).toHaveLength(1)
  expect(module.calls('C_GenerateKey') - before).toBe(1)
})
