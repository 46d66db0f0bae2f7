import { createWrappedModule } from 'testkit'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, afterEach, expect, test } from 'vitest'
import { Operation } from '../../src/pkcs11/protocol.js'
import { EngineOnToken, FOREVER, until } from '../support/engine-on-token.js'
import { rejection } from '../support/rejection.js'

const token = useSoftHsmToken({ keys: [{ label: 'k' }] })
const module = createWrappedModule(token)
const engines: EngineOnToken[] = []
afterEach(async () => {
  module.clear()
  await until(() => module.running() === 0)
  for (const { engine } of engines.splice(0)) engine.dispose()
  await until(() => module.openSessions() === 0)
})
afterAll(() => module.remove())

async function loaded(): Promise<EngineOnToken> {
  const made = new EngineOnToken(token, module.module)
  engines.push(made)
  await made.load()
  return made
}

const GIVEN_UP = { code: 'OPERATION_TIMEOUT', category: 'token' }
const SOON = { timeoutMs: 20 }

test('a session that hangs when it is closed after a call that hung keeps no other call from running', async () => {
  const on = await loaded()
  const { session: other, key } = await on.ready('k')
  const session = await on.open()
  // So many short calls that the engine wants no more than one thread at work, which the closing must not be.
  for (let call = 0; call < 100; call += 1) await on.engine.run(Operation.SESSION_INFO, other, FOREVER)
  module.hang('C_Encrypt', { times: 1 })
  module.hang('C_CloseSession', { times: 1 })
  expect(await rejection(on.encrypt(session, key, SOON))).toMatchObject(GIVEN_UP)
  module.release('C_Encrypt')
  await until(() => module.running('C_CloseSession') === 1)
  expect(await on.encrypt(other, key)).toHaveLength(32)
  expect(module.hanging()).toBe(1)
})

test('a call that is under way when the module is unloaded ends in peace, and its session with it', async () => {
  const on = await loaded()
  const { session, key } = await on.ready('k')
  module.hang('C_Encrypt', { times: 1 })
  const call = on.encrypt(session, key)
  await until(() => module.hanging() === 1)
  const before = module.calls('C_Finalize')
  await on.unload()
  on.engine.dispose()
  expect(module.calls('C_Finalize')).toBe(before)
  expect(module.openSessions()).toBe(1)
  module.release()
  expect(await call).toHaveLength(32)
  await until(() => module.openSessions() === 0)
})

test('a session that is being opened when the module is unloaded is closed again', async () => {
  const on = await loaded()
  module.hang('C_OpenSession', { times: 1 })
  const opening = rejection(on.open())
  await until(() => module.hanging() === 1)
  await on.unload()
  module.release()
  expect(await opening).toMatchObject({ code: 'CRYPTOKI', rvName: 'CKR_CRYPTOKI_NOT_INITIALIZED' })
  await until(() => module.openSessions() === 0)
})

test('an engine that was disposed of answers that it is closed', async () => {
  const on = await loaded()
  on.engine.dispose()
  on.engine.dispose()
  expect(await rejection(on.open())).toMatchObject({ code: 'POOL_CLOSED' })
})
