import { expect, test } from 'vitest'
import { Token } from '../../src/session/token.js'
import { nextEvent } from '../support/next-event.js'
import { useWrappedToken } from '../support/wrapped-token.js'

const { module, open, token } = useWrappedToken([{ label: 'k' }])

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate)
}

test('a session whose close did not get its turn is closed when there is a thread for it', async () => {
  const client = await open({ pool: { maxSize: 1, minSize: 0, createTimeoutMs: 100, operationTimeoutMs: 20_000 } })
  const session = await client.acquire()
  // As many calls as the engine has threads.
  module.hang('C_GenerateRandom')
  const hanging = Array.from({ length: 3 }, () => client.withDedicatedSession((own) => own.generateRandom(4)))
  await until(() => module.running() === 3)
  const failed = nextEvent(client, 'destroyFailed')
  client.reset()
  session.release()
  await failed
  module.clear()
  for (const bytes of await Promise.all(hanging)) expect(bytes).toHaveLength(4)
  // The one that holds the login is left.
  await until(() => module.openSessions() === 1)
  expect(client.stats()).toMatchObject({ currentSize: 0, destroyFailures: 1 })
})

test('a session that comes when its opening was aborted is closed', async () => {
  const connected = await Token.connect({
    module: module.module,
    initializeArgs: undefined,
    token: { label: token.label },
    pin: undefined,
    readOnly: false,
    timeoutMs: 20_000,
    onLogin: () => undefined,
  })
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
