import { expect, test } from 'vitest'
import { Token } from '../../src/session/token.js'
import { useWrappedToken } from '../support/wrapped-token.js'

const { module, token } = useWrappedToken([{ label: 'k' }])

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate)
}

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
