import { createWrappedModule } from 'testkit'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { binding } from '../../src/pkcs11/binding.js'
import { Engine, EngineSession } from '../../src/pkcs11/engine.js'
import { packMechanism } from '../../src/pkcs11/mechanisms.js'
import { type NativeModuleInfo, Operation } from '../../src/pkcs11/protocol.js'
import { packTemplate } from '../../src/pkcs11/templates.js'
import { rejection } from '../support/rejection.js'

const token = useSoftHsmToken({ keys: [{ label: 'k' }] })
const module = createWrappedModule(token)
afterAll(() => module.remove())
const engines: Engine[] = []
afterEach(async () => {
  module.clear()
  for (const engine of engines.splice(0)) {
    await until(() => engine.stats().hung === 0)
    await engine.run(Operation.UNLOAD, undefined, LONG)
    engine.dispose()
  }
})

const LONG = { timeoutMs: 60_000 }
const SOON = { timeoutMs: 250 }
const RW_SESSION = 6
const CKU_USER = 1
const cbc = packMechanism({ mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.alloc(16) })
const plain = Buffer.alloc(16)

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate)
}

function create(): Engine {
  const engine = new Engine()
  engines.push(engine)
  return engine
}

async function load(engine: Engine): Promise<number | bigint> {
  await engine.run(Operation.LOAD, undefined, LONG, module.module)
  const { slots } = (await engine.run(Operation.INSPECT, undefined, LONG, 0)) as NativeModuleInfo
  return slots.find((slot) => slot.token?.label === token.label)?.slotID as number
}

async function openSession(engine: Engine, slot: number | bigint): Promise<EngineSession> {
  return new EngineSession((await engine.run(Operation.OPEN_SESSION, undefined, LONG, slot, RW_SESSION)) as number)
}

/** An engine with sessions that are logged in, and a key's handle. */
async function ready(sessionCount: number) {
  const engine = create()
  const slot = await load(engine)
  const sessions = []
  for (let opened = 0; opened < sessionCount; opened += 1) sessions.push(await openSession(engine, slot))
  const [first] = sessions as [EngineSession, ...EngineSession[]]
  const pin = new binding.Pin({ value: token.pin })
  await engine.run(Operation.LOGIN, first, LONG, CKU_USER, pin)
  const [key] = (await engine.run(Operation.FIND, first, LONG, packTemplate({ CKA_LABEL: 'k' }), 2, null)) as number[]
  return { engine, slot, sessions, pin, key: key as number }
}

describe('a call that hangs rejects at its deadline, and is cleaned up behind when it returns after all:', () => {
  test('C_Initialize', async () => {
    const engine = create()
    module.hang('C_Initialize', { times: 1 })
    expect(await rejection(engine.run(Operation.LOAD, undefined, SOON, module.module))).toMatchObject({
      code: 'OPERATION_TIMEOUT',
    })
    expect(engine.stats()).toMatchObject({ hung: 1, abandoned: 1 })
    module.release()
    await until(() => engine.stats().hung === 0)
    // What it had initialised was given back, so that it can be loaded again.
    expect(await load(engine)).toBe(token.slot)
  })

  test('C_OpenSession', async () => {
    const { engine, slot } = await ready(1)
    module.hang('C_OpenSession', { times: 1 })
    expect(await rejection(engine.run(Operation.OPEN_SESSION, undefined, SOON, slot, RW_SESSION))).toMatchObject({
      code: 'OPERATION_TIMEOUT',
    })
    const other = await openSession(engine, slot)
    module.release()
    await until(() => engine.stats().hung === 0)
    expect(module.openSessions()).toBe(2)
    await engine.run(Operation.CLOSE_SESSION, other, LONG)
  })

  test('C_Login, whose answer is told when it comes', async () => {
    const { engine, slot, pin } = await ready(1)
    const session = await openSession(engine, slot)
    module.hang('C_Login', { times: 1 })
    let hangs = false
    let late: number | undefined
    const watch = {
      notSent: () => expect.unreachable(),
      hangs: () => (hangs = true),
      returned: (rv: number) => (late = rv),
    }
    const call = { ...SOON, watch }
    expect(await rejection(engine.run(Operation.LOGIN, session, call, CKU_USER, pin))).toMatchObject({
      code: 'OPERATION_TIMEOUT',
    })
    expect(session.lost).toBe(true)
    expect({ hangs, late }).toEqual({ hangs: true, late: undefined })
    module.release()
    await until(() => late !== undefined)
    expect(late).toBe(0x100) // CKR_USER_ALREADY_LOGGED_IN
    expect(module.openSessions()).toBe(1)
  })

  test.each(['C_FindObjectsInit', 'C_FindObjects', 'C_FindObjectsFinal'] as const)('%s', async (name) => {
    const { engine, sessions } = await ready(2)
    const [hangs, works] = sessions as [EngineSession, EngineSession]
    const find = (session: EngineSession, call: { timeoutMs: number }) =>
      engine.run(Operation.FIND, session, call, packTemplate({ CKA_LABEL: 'k' }), 2, null)
    module.hang(name, { times: 1 })
    expect(await rejection(find(hangs, SOON))).toMatchObject({ code: 'OPERATION_TIMEOUT' })
    expect(await find(works, LONG)).toHaveLength(2)
    expect(await rejection(find(hangs, LONG))).toMatchObject({ rvName: 'CKR_SESSION_HANDLE_INVALID' })
    module.release()
    await until(() => engine.stats().hung === 0)
    expect(module.openSessions()).toBe(1)
  })

  test('C_Encrypt, and what waits behind it in its session is told', async () => {
    const { engine, sessions, key } = await ready(2)
    const [hangs, works] = sessions as [EngineSession, EngineSession]
    module.hang('C_Encrypt', { times: 1 })
    const first = rejection(engine.run(Operation.ENCRYPT, hangs, SOON, cbc, key, plain))
    await until(() => module.hanging() === 1)
    const behind = rejection(engine.run(Operation.ENCRYPT, hangs, LONG, cbc, key, plain))
    expect(await first).toMatchObject({ code: 'OPERATION_TIMEOUT', category: 'token' })
    expect(await behind).toMatchObject({ rvName: 'CKR_SESSION_HANDLE_INVALID' })
    expect(hangs).toMatchObject({ lost: true, pending: 0 })
    expect(await engine.run(Operation.ENCRYPT, works, LONG, cbc, key, plain)).toHaveLength(32)
    module.release()
    await until(() => engine.stats().hung === 0)
    expect(module.openSessions()).toBe(1)
  })

  test('C_CloseSession', async () => {
    const { engine, sessions } = await ready(2)
    module.hang('C_CloseSession', { times: 1 })
    const [hangs] = sessions as [EngineSession]
    expect(await rejection(engine.run(Operation.CLOSE_SESSION, hangs, SOON))).toMatchObject({
      code: 'OPERATION_TIMEOUT',
    })
    module.release()
    await until(() => engine.stats().hung === 0)
    expect(module.openSessions()).toBe(1)
  })

  test('C_Finalize', async () => {
    const { engine } = await ready(1)
    module.hang('C_Finalize', { times: 1 })
    expect(await rejection(engine.run(Operation.UNLOAD, undefined, SOON))).toMatchObject({ code: 'OPERATION_TIMEOUT' })
    module.release()
    await until(() => engine.stats().hung === 0)
    expect(await load(engine)).toBe(token.slot)
  })
})

test('a call whose deadline passes before its turn never reaches the token', async () => {
  const { engine, sessions, key } = await ready(1)
  const [session] = sessions as [EngineSession]
  module.hang('C_Encrypt', { times: 1 })
  const first = engine.run(Operation.ENCRYPT, session, LONG, cbc, key, plain)
  await until(() => module.hanging() === 1)
  const before = module.calls('C_EncryptInit')
  expect(await rejection(engine.run(Operation.ENCRYPT, session, SOON, cbc, key, plain))).toMatchObject({
    code: 'OPERATION_TIMEOUT',
    category: 'overload',
  })
  expect(await rejection(engine.run(Operation.ENCRYPT, session, { timeoutMs: 0 }, cbc, key, plain))).toMatchObject({
    category: 'overload',
  })
  module.release()
  await first
  expect(module.calls('C_EncryptInit')).toBe(before)
})

test('when as many calls hang as the engine has threads to lose, the next ones fail at once, and work again later', async () => {
  const { engine, sessions, key } = await ready(6)
  engine.setMaxThreads(2)
  const encrypt = (session: EngineSession, call: { timeoutMs: number }) =>
    engine.run(Operation.ENCRYPT, session, call, cbc, key, plain)
  module.hang('C_Encrypt')
  for (const session of sessions.slice(0, 4))
    expect(await rejection(encrypt(session, SOON))).toMatchObject({ code: 'OPERATION_TIMEOUT' })
  expect(engine.stats().hung).toBe(4)
  const [fifth] = sessions.slice(4) as [EngineSession]
  expect(await rejection(encrypt(fifth, LONG))).toMatchObject({ code: 'TOKEN_STALLED', category: 'overload' })
  module.release()
  await until(() => engine.stats().hung === 0)
  expect(await encrypt(fifth, LONG)).toHaveLength(32)
})

test('a session runs its calls one at a time and in order', async () => {
  const { engine, sessions, key } = await ready(1)
  const [session] = sessions as [EngineSession]
  const order: number[] = []
  // Two at once in one session would answer CKR_OPERATION_ACTIVE.
  await Promise.all(
    Array.from({ length: 50 }, async (_, at) => {
      await engine.run(Operation.ENCRYPT, session, LONG, cbc, key, plain)
      order.push(at)
    }),
  )
  expect(order).toEqual(Array.from({ length: 50 }, (_, at) => at))
})

test('what is queued when the engine is disposed of is told so, and what is open is closed behind', async () => {
  const { engine, sessions, key } = await ready(3)
  const [session] = sessions as [EngineSession]
  module.hang('C_Encrypt', { times: 1 })
  const running = engine.run(Operation.ENCRYPT, session, LONG, cbc, key, plain)
  await until(() => module.hanging() === 1)
  const queued = rejection(engine.run(Operation.ENCRYPT, session, LONG, cbc, key, plain))
  engine.dispose()
  engine.dispose()
  expect(await queued).toMatchObject({ code: 'POOL_CLOSED' })
  expect(await rejection(engine.run(Operation.INSPECT, undefined, LONG))).toMatchObject({ code: 'POOL_CLOSED' })
  module.release()
  expect(await running).toHaveLength(32)
  await until(() => module.openSessions() === 0)
  engines.splice(0)
})
