import { createChaos } from 'pkcs11-chaos'
import { afterEach, expect, test, vi } from 'vitest'
import { createClient } from '../../src/index.js'
import { Operation } from '../../src/pkcs11/protocol.js'
import { Token } from '../../src/session/token.js'
import { rejection } from '../support/rejection.js'
import { useWrappedToken } from '../support/wrapped-token.js'

const { module, open, token } = useWrappedToken([{ label: 'k' }])

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate)
}

afterEach(() => void vi.useRealTimers())

const connect = () =>
  Token.connect({
    module: module.module,
    initializeArgs: undefined,
    token: { label: token.label },
    pin: undefined,
    readOnly: false,
    timeoutMs: 20_000,
    onLogin: () => undefined,
  })

test('a session that the token refuses to close is closed when it no longer does, and not left to it', async () => {
  const client = await open({ pool: { maxSize: 3, minSize: 0, createTimeoutMs: 1_000 } })
  const sessions = await Promise.all(Array.from({ length: 3 }, () => client.acquire()))
  module.fail('C_CloseSession', 'CKR_DEVICE_ERROR')
  client.reset()
  for (const session of sessions) session.release()
  await until(() => client.stats().destroyFailures === 3)
  expect(module.openSessions()).toBe(4)
  // Asked for again, and refused again.
  await until(() => module.calls('C_CloseSession') > 6)
  module.clear('C_CloseSession')
  // The one that holds the login is left.
  await until(() => module.openSessions() === 1)
  expect(await client.generateRandom(4)).toHaveLength(4)
  expect(module.openSessions()).toBe(2)
})

test('a session that was closed though the token said that it was not is asked for once more, and is then known to be gone', async () => {
  await using chaos = createChaos({ module: token.module })
  const client = await createClient({
    module: chaos.modulePath,
    token: { label: token.label },
    pin: { file: token.pinFile },
    pool: { maxSize: 1, minSize: 0, createTimeoutMs: 1_000 },
  })
  const session = await client.acquire()
  await chaos.rules.add({ on: 'C_CloseSession', fail: 'CKR_FUNCTION_FAILED', phase: 'after', times: 1 })
  client.reset()
  session.release()
  await chaos.waitFor(({ functions }) => functions.C_CloseSession?.calls === 2)
  expect(await client.generateRandom(4)).toHaveLength(4)
  expect((await chaos.counters()).sessions.open).toBe(2)
  await client.close()
  // That of the session, again, of the one after it, and of the one that holds the login.
  expect((await chaos.counters()).functions.C_CloseSession).toMatchObject({ calls: 4, failed: 2 })
  expect(await chaos.misuse()).toEqual([])
})

test('what was refused to be closed is closed with the client', async () => {
  const client = await open({ pool: { maxSize: 1, minSize: 0 } })
  const session = await client.acquire()
  module.fail('C_CloseSession', 'CKR_FUNCTION_FAILED', { times: 1 })
  client.reset()
  session.release()
  await until(() => client.stats().destroyFailures === 1)
  await client.close()
  expect(module.openSessions()).toBe(0)
})

test('a session whose close did not get its turn is closed when there is a thread for it', async () => {
  const connected = await connect()
  const { engine } = connected
  engine.setMaxThreads(3)
  const session = await connected.openSession()
  // As many calls as the engine has threads.
  const busy = await Promise.all(Array.from({ length: 3 }, () => connected.openSession()))
  module.hang('C_GenerateRandom')
  const hanging = busy.map((each) => engine.run(Operation.GENERATE_RANDOM, each, { timeoutMs: 60_000 }, 4))
  await until(() => module.running('C_GenerateRandom') === 3)
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const closed = module.calls('C_CloseSession')
  const expired = { code: 'OPERATION_TIMEOUT', category: 'overload' }
  expect(await rejection(connected.closeSession(session, 10))).toMatchObject(expired)
  module.clear()
  for (const bytes of await Promise.all(hanging)) expect(bytes).toHaveLength(4)
  expect(module.calls('C_CloseSession')).toBe(closed)
  vi.advanceTimersByTime(20_000)
  await until(() => module.openSessions() === 3)
  await connected.close(20_000)
  expect(module.openSessions()).toBe(0)
})

test('a session that comes when its opening was aborted is closed', async () => {
  const connected = await connect()
  const before = module.calls('C_CloseSession')
  module.hang('C_OpenSession')
  const enough = new AbortController()
  const opening = connected.openSession(enough.signal)
  await until(() => module.running() === 1)
  enough.abort(new Error('enough'))
  await expect(opening).rejects.toThrow('enough')
  module.clear()
  await until(() => module.calls('C_CloseSession') === before + 1)
  await connected.close(5_000)
  expect(module.openSessions()).toBe(0)
})
