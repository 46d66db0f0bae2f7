import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { createWrappedModule } from 'testkit'
import { useSoftHsm } from 'testkit/vitest'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { type Client, type ClientOptions, createClient } from '../../src/index.js'
import { rejection } from '../support/rejection.js'

const softHsm = useSoftHsm()
const tokens = [
  softHsm.createToken({ label: 'one', keys: [{ label: 'k' }] }),
  softHsm.createToken({ label: 'two', keys: [{ label: 'k' }, { label: 'only here', id: 2 }] }),
] as const
const module = createWrappedModule(softHsm)
afterAll(() => module.remove())
const clients: Client[] = []
afterEach(async () => {
  module.clear()
  await Promise.all(clients.splice(0).map((client) => client.close()))
})

const iv = Buffer.alloc(16)
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv } as const
const key = { label: 'k' }
const encrypt = (client: Client) => client.encrypt(key, cbc, iv)

async function open(
  pool: ClientOptions['pool'] = {},
  { label, pinFile } = tokens[0] as { label: string; pinFile: string },
) {
  const client = await createClient({ module: module.module, token: { label }, pin: { file: pinFile }, pool })
  clients.push(client)
  return client
}

async function hanging(count: number): Promise<void> {
  while (module.hanging() < count) await new Promise(setImmediate)
}
async function noneOpen(): Promise<void> {
  while (module.openSessions() > 0) await new Promise(setImmediate)
}

describe('close', () => {
  test('called many times at once, and again, is one', async () => {
    const client = await open()
    await encrypt(client)
    const before = module.calls('C_Finalize')
    const closings = [client.close(), client.close({ timeoutMs: 0 }), client[Symbol.asyncDispose]()]
    expect((await Promise.all(closings)).slice(0, 2)).toEqual([{ abandoned: 0 }, { abandoned: 0 }])
    expect(await client.close()).toEqual({ abandoned: 0 })
    expect(module.calls('C_Finalize') - before).toBe(1)
    expect(module.openSessions()).toBe(0)
    expect(client.stats()).toMatchObject({ currentSize: 0, inUse: 0, available: 0 })
  })

  test.each(['C_OpenSession', 'C_CloseSession', 'C_FindObjects', 'C_Encrypt'] as const)(
    'gives up while %s hangs, and what hung is cleared away when it returns',
    async (name) => {
      const client = await open({ minSize: 1, maxSize: 2 })
      const session = await client.acquire()
      module.hang(name)
      const running = encrypt(client).catch((error: unknown) => error)
      if (name === 'C_CloseSession') {
        session.release()
        client.reset()
      }
      await hanging(1)
      const { abandoned } = await client.close({ timeoutMs: 20 })
      expect(abandoned).toBeGreaterThan(0)
      module.release()
      await running
      if (name !== 'C_CloseSession') session.release()
      await noneOpen()
      expect(await encrypt(await open())).toHaveLength(32)
    },
  )

  test('rejects those who wait and those who come', async () => {
    const client = await open({ maxSize: 1 })
    const session = await client.acquire()
    const waiting = Array.from({ length: 5 }, () => rejection(encrypt(client)))
    const closing = client.close()
    for (const error of await Promise.all(waiting)) expect(error).toMatchObject({ code: 'POOL_CLOSED' })
    expect(await rejection(encrypt(client))).toMatchObject({ code: 'POOL_CLOSED' })
    // What is out may be used to its end.
    expect(await session.generateRandom(4)).toHaveLength(4)
    session.release()
    expect(await closing).toEqual({ abandoned: 0 })
  })

  test('waits for a session of its own that is in use', async () => {
    const client = await open()
    module.hang('C_GenerateRandom', { times: 1 })
    const running = client.withDedicatedSession((session) => session.generateRandom(4)).catch((error: unknown) => error)
    await hanging(1)
    const closing = client.close({ timeoutMs: 1_000 })
    module.release()
    await running
    await closing
    await noneOpen()
  })
})

describe('two tokens of one module', () => {
  test('have logins, sessions and keys of their own', async () => {
    const [one, two] = [await open({}, tokens[0]), await open({}, tokens[1])]
    const only = { label: 'only here' }
    expect(await two.encrypt(only, cbc, iv)).toHaveLength(32)
    expect(await rejection(one.encrypt(only, cbc, iv))).toMatchObject({ code: 'KEY_NOT_FOUND' })
    // Two keys of one name.
    expect((await encrypt(one)).equals(await encrypt(two))).toBe(false)
    await one.close()
    expect(await encrypt(two)).toHaveLength(32)
    expect(two.stats().logins).toBe(1)
  })

  test('do not share a rejected PIN', async () => {
    const wrong = await createClient({
      module: module.module,
      token: { label: 'one' },
      pin: { file: tokens[1].pinFile },
      connect: 'lazy',
    })
    clients.push(wrong)
    const right = await open({}, tokens[1])
    expect(await rejection(encrypt(wrong))).toMatchObject({ code: 'CREDENTIALS_REJECTED' })
    expect(await encrypt(right)).toHaveLength(32)
    expect(await encrypt(await open({}, tokens[0]))).toHaveLength(32)
  })
})

test('acquire waits as long as it was told to, and its session may be used longer', async () => {
  const client = await open({ minSize: 0, maxSize: 1 })
  const session = await client.acquire()
  for (const timeoutMs of [0, 1]) {
    expect(await rejection(client.acquire({ timeoutMs }))).toMatchObject({ code: 'ACQUIRE_TIMEOUT' })
  }
  session.release()
  const idle = await client.acquire({ timeoutMs: 0 })
  expect(await idle.generateRandom(4)).toHaveLength(4)
  idle.release()
})

describe('the pool’s size', () => {
  test('follows resize, also while sessions are out', async () => {
    const client = await open({ minSize: 0, maxSize: 4 })
    const sessions = await Promise.all(Array.from({ length: 4 }, () => client.acquire()))
    client.resize({ maxSize: 1 })
    expect(client.stats()).toMatchObject({ maxSize: 1, currentSize: 4, inUse: 4 })
    for (const session of sessions) session.release()
    expect(client.stats()).toMatchObject({ currentSize: 1, inUse: 0 })
    client.resize({ maxSize: 3 })
    const more = await Promise.all(Array.from({ length: 3 }, () => client.acquire()))
    expect(client.stats()).toMatchObject({ maxSize: 3, currentSize: 3, inUse: 3 })
    for (const session of more) session.release()
  })

  test('is refilled with new sessions after reset, those out being closed on release', async () => {
    const client = await open({ minSize: 0, maxSize: 2 })
    const session = await client.acquire()
    const opened = module.calls('C_OpenSession')
    client.reset()
    expect(await session.generateRandom(4)).toHaveLength(4)
    session.release()
    expect(client.stats()).toMatchObject({ currentSize: 0, inUse: 0 })
    expect(await encrypt(client)).toHaveLength(32)
    expect(module.calls('C_OpenSession')).toBe(opened + 1)
  })

  test('is what the token has left, and every call is served', async () => {
    const client = await open({ minSize: 0, maxSize: 8 })
    const first = await client.acquire()
    module.fail('C_OpenSession', 'CKR_SESSION_COUNT')
    const calls = Array.from({ length: 8 }, () => encrypt(client))
    while (client.stats().creating > 0) await new Promise(setImmediate)
    expect(client.stats()).toMatchObject({ effectiveMaxSize: 1, waiting: 8 })
    first.release()
    expect(await Promise.all(calls)).toHaveLength(8)
    expect(client.stats()).toMatchObject({ effectiveMaxSize: 1, maxSize: 8, currentSize: 1, waiting: 0 })
    expect(client.health().state).toBe('degraded')
  })
})

test('a leak names who acquired and who asked, once', async () => {
  const client = await open({ maxSize: 2, leakThresholdMs: 1, idleTimeoutMs: 1_000 })
  const leaks: { acquiredAt: string }[] = []
  const both = new Promise<void>((resolve) => client.on('leak', (leak) => leaks.push(leak) === 2 && resolve()))
  async function theCulprit() {
    return client.acquire()
  }
  const session = await theCulprit()
  let finish: () => void = () => undefined
  const inside = client.withSession(() => new Promise<void>((resolve) => (finish = resolve)))
  await both
  expect(leaks.map(({ acquiredAt }) => acquiredAt).join('\n')).toContain('theCulprit')
  for (const { acquiredAt } of leaks) expect(acquiredAt).toContain('lifecycle.test')
  session.release()
  finish()
  await inside
})

describe('processes', () => {
  const library = new URL('../../dist/index.js', import.meta.url).href
  const run = async (body: string, operationTimeoutMs = 60_000) => {
    const program = `
      import { createClient } from ${JSON.stringify(library)}
      const client = await createClient({ module: ${JSON.stringify(module.module)},
        token: { label: 'one' }, pin: { file: ${JSON.stringify(tokens[0].pinFile)} }, pool: { operationTimeoutMs: ${operationTimeoutMs} } })
      const encrypt = () => client.encrypt({ label: 'k' }, { mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.alloc(16) }, Buffer.alloc(16))
      ${body}`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
      env: { ...process.env, ...softHsm.env },
    })
    return stdout
  }

  test('that use one token at once are all served', async () => {
    const body = 'for (let i = 0; i < 50; i += 1) await encrypt(); console.log((await client.close()).abandoned)'
    const client = await open()
    const others = [run(body), run(body)]
    const ours = Array.from({ length: 50 }, () => encrypt(client))
    expect(await Promise.all(others)).toEqual(['0\n', '0\n'])
    expect(await Promise.all(ours)).toHaveLength(50)
  })

  test('that leave a session out, or a call waiting for one, end by themselves', async () => {
    expect(await run("await client.acquire(); console.log('end')")).toBe('end\n')
    const waiting =
      "client.resize({ maxSize: 1 }); await client.acquire(); client.acquire().catch(() => {}); console.log('end')"
    expect(await run(waiting)).toBe('end\n')
  })

  test('that have given up a call which hangs for ever end by themselves', async () => {
    module.hang('C_Encrypt')
    expect(await run('console.log(await encrypt().catch((error) => error.code))', 1_000)).toBe('OPERATION_TIMEOUT\n')
  })
})
