import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { rejection } from '../support/rejection.js'
import { useWrappedToken } from '../support/wrapped-token.js'

const { token, module, open } = useWrappedToken([{ label: 'k' }])
const iv = Buffer.alloc(16)
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv } as const
const key = { label: 'k' }
const LIBRARY = new URL('../../dist/index.js', import.meta.url).href

test('a pool of more sessions than there can be threads opens, and can be resized', async () => {
  const client = await open({ pool: { maxSize: 5_000, minSize: 1 } })
  client.resize({ maxSize: 10_000 })
  expect(await client.encrypt(key, cbc, iv)).toHaveLength(32)
})

describe('close', () => {
  test('does not wait for a call that hangs, and says so; the module is left alone until the call returns', async () => {
    const client = await open({ pool: { maxSize: 2, operationTimeoutMs: 50 } })
    await client.encrypt(key, cbc, iv)
    module.hang('C_Encrypt')
    const before = module.calls('C_Finalize')
    expect(await rejection(client.encrypt(key, cbc, iv))).toMatchObject({
      code: 'OPERATION_TIMEOUT',
      category: 'token',
    })
    expect(client.stats().engine.hung).toBe(1)
    expect(client.health().state).toBe('down')
    expect(await client.close({ timeoutMs: 1_000 })).toEqual({ abandoned: 1 })
    expect(module.calls('C_Finalize')).toBe(before)
    module.release()
    while (module.openSessions() > 0) await new Promise(setImmediate)
    const again = await open()
    expect(await again.encrypt(key, cbc, iv)).toHaveLength(32)
  })

  test('gives up on a session that is not released, which is closed when it is', async () => {
    const client = await open({ pool: { maxSize: 1 } })
    const session = await client.acquire()
    expect(await client.close({ timeoutMs: 0 })).toEqual({ abandoned: 1 })
    session.release()
    while (module.openSessions() > 0) await new Promise(setImmediate)
  })

  test('while sessions are still being opened leaves none behind', async () => {
    const client = await open({ connect: 'lazy', pool: { maxSize: 4, minSize: 4 } })
    const calls = Array.from({ length: 8 }, () => client.encrypt(key, cbc, iv).catch(() => undefined))
    await client.close()
    await Promise.all(calls)
    expect(module.openSessions()).toBe(0)
  })
})

test('of two clients of one module, the one that is closed leaves the other’s login and sessions alone', async () => {
  const [one, other] = [await open(), await open()]
  await Promise.all([one.encrypt(key, cbc, iv), other.encrypt(key, cbc, iv)])
  const before = module.calls('C_Finalize')
  await one.close()
  expect(await other.encrypt(key, cbc, iv)).toHaveLength(32)
  expect(module.calls('C_Finalize')).toBe(before)
  await other.close()
  expect(module.calls('C_Finalize') - before).toBe(1)
})

test('a token that has no more sessions is worked with as it is', async () => {
  const client = await open({ pool: { maxSize: 8, minSize: 1 } })
  await client.encrypt(key, cbc, iv)
  module.fail('C_OpenSession', 'CKR_SESSION_COUNT')
  const answers = await Promise.all(Array.from({ length: 16 }, () => client.encrypt(key, cbc, iv)))
  expect(answers).toHaveLength(16)
  expect(client.stats().effectiveMaxSize).toBeLessThan(8)
  expect(client.health().state).toBe('degraded')
  module.clear()
  client.resize({ maxSize: 8 })
  expect(client.stats().effectiveMaxSize).toBe(8)
})

test('of sessions that are opened at once, those that the token has are kept, and everybody is served with them', async () => {
  for (const refused of [1, 3]) {
    const client = await open({ pool: { maxSize: 8, minSize: 0 } })
    module.fail('C_OpenSession', 'CKR_SESSION_COUNT', { times: refused })
    const answers = await Promise.all(Array.from({ length: 8 }, () => client.encrypt(key, cbc, iv)))
    expect(answers).toHaveLength(8)
    expect(client.stats()).toMatchObject({ effectiveMaxSize: 8 - refused, currentSize: 8 - refused, destroyed: 0 })
    await client.close()
  }
  const client = await open({ pool: { maxSize: 8, minSize: 0 } })
  module.fail('C_OpenSession', 'CKR_SESSION_COUNT')
  const calls = Array.from({ length: 8 }, () => rejection(client.encrypt(key, cbc, iv)))
  for (const failure of await Promise.all(calls)) expect(failure).toMatchObject({ code: 'CREATE_FAILED' })
})

test('a session that is held too long is reported with the place where it was acquired', async () => {
  const client = await open({ pool: { leakThresholdMs: 1, idleTimeoutMs: 1_000, maxSize: 2 } })
  const leak = new Promise<{ acquiredAt: string }>((resolve) => client.on('leak', resolve))
  await using held = await client.acquire()
  expect((await leak).acquiredAt).toContain('client-lifecycle.test')
  expect(held.released).toBe(false)
})

test('stats add up after everything that happened', async () => {
  const client = await open({ pool: { maxSize: 3, operationTimeoutMs: 50 } })
  module.fail('C_Encrypt', 'CKR_DEVICE_ERROR', { from: 3, times: 2 })
  module.fail('C_EncryptInit', 'CKR_SESSION_CLOSED', { from: 9, times: 1 })
  await Promise.allSettled(Array.from({ length: 30 }, () => client.encrypt(key, cbc, iv)))
  const stats = client.stats()
  expect(stats.currentSize).toBe(stats.available + stats.inUse)
  expect(stats).toMatchObject({ inUse: 0, waiting: 0 })
  expect(stats.created - stats.destroyed).toBe(stats.currentSize)
  expect(client.metrics()).toMatch(/^pkcs11_pool_in_use\{token="test"\} 0$/m)
})

describe('a process', () => {
  const program = (body: string): string => `
    import { createClient } from ${JSON.stringify(LIBRARY)}
    const client = await createClient({ module: ${JSON.stringify(token.module)}, token: { label: 'test' }, pin: { file: ${JSON.stringify(token.pinFile)} } })
    const encrypt = () => client.encrypt({ label: 'k' }, { mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.alloc(16) }, Buffer.alloc(16))
    ${body}`
  const run = (body: string) =>
    promisify(execFile)(process.execPath, ['--input-type=module', '-e', program(body)], {
      env: { ...process.env, ...token.env },
    })

  test('ends by itself with a client that was not closed', async () => {
    const { stdout } = await run('console.log((await encrypt()).length)')
    expect(stdout).toBe('32\n')
  })

  test('shares the token with others', async () => {
    const other = run(
      "await client.keys.generate('CKM_AES_KEY_GEN', { CKA_TOKEN: true, CKA_LABEL: 'theirs', CKA_VALUE_LEN: 32 }); await client.close()",
    )
    const client = await open()
    const [, ...answers] = await Promise.all([other, ...Array.from({ length: 50 }, () => client.encrypt(key, cbc, iv))])
    expect(answers).toHaveLength(50)
    expect(await client.encrypt({ label: 'theirs' }, cbc, iv)).toHaveLength(32)
  })
})
