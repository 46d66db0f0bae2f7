import { createWrappedModule } from 'testkit'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, afterEach, expect, test } from 'vitest'
import { Engine, EngineSession } from '../../src/pkcs11/engine.js'
import { type NativeModuleInfo, Operation, Reinitialization } from '../../src/pkcs11/protocol.js'
import { rejection } from '../support/rejection.js'

const token = useSoftHsmToken()
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
const SOON = { timeoutMs: 20 }
const RW_SESSION = 6

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate)
}

async function openSession(engine: Engine): Promise<EngineSession> {
  const { slots } = (await engine.run(Operation.INSPECT, undefined, LONG, 0)) as NativeModuleInfo
  const slot = slots.find((each) => each.token?.label === token.label)?.slotID
  return new EngineSession((await engine.run(Operation.OPEN_SESSION, undefined, LONG, slot, RW_SESSION)) as number)
}

async function ready(): Promise<{ engine: Engine; session: EngineSession }> {
  const engine = new Engine()
  engines.push(engine)
  await engine.run(Operation.LOAD, undefined, LONG, module.module)
  return { engine, session: await openSession(engine) }
}

const random = (engine: Engine, session: EngineSession, call = LONG) =>
  engine.run(Operation.GENERATE_RANDOM, session, call, 4)
const reinitialize = (engine: Engine, drainMs = 60_000, evenIfShared = 1) =>
  engine.run(Operation.REINITIALIZE, undefined, LONG, drainMs, evenIfShared)
const counts = () => [module.calls('C_Finalize'), module.calls('C_Initialize')] as const

test('a module that is initialised again has no session of before, and works', async () => {
  const { engine, session } = await ready()
  const [finalized, initialized] = counts()
  expect(await reinitialize(engine)).toBe(Reinitialization.DONE)
  expect(counts()).toEqual([finalized + 1, initialized + 1])
  const before = module.calls('C_GenerateRandom')
  expect(await rejection(random(engine, session))).toMatchObject({ rvName: 'CKR_SESSION_HANDLE_INVALID' })
  expect(module.calls('C_GenerateRandom')).toBe(before)
  // SoftHSM begins to count anew: the handle is the old one's.
  expect(await random(engine, await openSession(engine))).toHaveLength(4)
})

test('every other client is told at its next call, and nothing of before reaches the module', async () => {
  const one = await ready()
  const other = await ready()
  expect(await reinitialize(one.engine)).toBe(Reinitialization.DONE)
  const fresh = await openSession(one.engine)
  const before = counts()
  const [closed, made] = [module.calls('C_CloseSession'), module.calls('C_GenerateRandom')]
  expect(await rejection(random(other.engine, other.session))).toMatchObject({
    rvName: 'CKR_CRYPTOKI_NOT_INITIALIZED',
    category: 'module',
  })
  expect(await rejection(openSession(other.engine))).toMatchObject({ rvName: 'CKR_CRYPTOKI_NOT_INITIALIZED' })
  await other.engine.run(Operation.CLOSE_SESSION, other.session, LONG)
  await other.engine.dropSessions(LONG)
  expect([module.calls('C_CloseSession'), module.calls('C_GenerateRandom')]).toEqual([closed, made])
  expect(await reinitialize(other.engine)).toBe(Reinitialization.ADOPTED)
  expect(counts()).toEqual(before)
  expect(await random(other.engine, await openSession(other.engine))).toHaveLength(4)
  expect(await random(one.engine, fresh)).toHaveLength(4)
})

test('a client that closes after it leaves the sessions of others alone, whose handles are its own’s of before', async () => {
  const one = await ready()
  const other = await ready()
  await reinitialize(one.engine)
  const fresh = [await openSession(one.engine), await openSession(one.engine)]
  await other.engine.run(Operation.UNLOAD, undefined, LONG)
  for (const session of fresh) expect(await random(one.engine, session)).toHaveLength(4)
})

test('where others use it, it is not disturbed unless that is asked for', async () => {
  const one = await ready()
  const other = await ready()
  const before = counts()
  expect(await reinitialize(one.engine, 60_000, 0)).toBe(Reinitialization.SHARED)
  expect(counts()).toEqual(before)
  expect(await random(other.engine, other.session)).toHaveLength(4)
  await other.engine.run(Operation.UNLOAD, undefined, LONG)
  expect(await reinitialize(one.engine, 60_000, 0)).toBe(Reinitialization.DONE)
})

test('where all who use it have asked for it, nobody is left to be disturbed', async () => {
  const [one, two, three] = [await ready(), await ready(), await ready()]
  const before = counts()
  for (const { engine } of [one, two, one, two])
    expect(await reinitialize(engine, 60_000, 0)).toBe(Reinitialization.SHARED)
  expect(counts()).toEqual(before)
  expect(await reinitialize(three.engine, 60_000, 0)).toBe(Reinitialization.DONE)
  for (const { engine } of [one, two]) expect(await reinitialize(engine, 60_000, 0)).toBe(Reinitialization.ADOPTED)
  // What was asked for is done: the next time, all have to ask again.
  expect(await reinitialize(three.engine, 60_000, 0)).toBe(Reinitialization.SHARED)
  // One that has gone asks for nothing.
  await three.engine.run(Operation.UNLOAD, undefined, LONG)
  expect(await reinitialize(one.engine, 60_000, 0)).toBe(Reinitialization.SHARED)
  expect(await random(two.engine, await openSession(two.engine))).toHaveLength(4)
})

test('while a call is inside it is not finalised, nobody is let in meanwhile, and afterwards all goes on as before', async () => {
  const one = await ready()
  const other = await ready()
  const before = counts()
  module.hang('C_GenerateRandom', { times: 1 })
  const inside = random(other.engine, other.session)
  await until(() => module.hanging() === 1)
  const waiting = reinitialize(one.engine)
  let refusal: unknown
  do refusal = await one.engine.run(Operation.SESSION_INFO, one.session, LONG).catch((error: unknown) => error)
  while (!(refusal instanceof Error))
  expect(refusal).toMatchObject({ rvName: 'CKR_CRYPTOKI_NOT_INITIALIZED' })
  expect(counts()).toEqual(before)
  module.release()
  expect(await inside).toHaveLength(4)
  expect(await waiting).toBe(Reinitialization.DONE)
})

test('a call that does not return keeps it from being finalised, also when it was given up', async () => {
  const one = await ready()
  const other = await ready()
  const before = counts()
  module.hang('C_GenerateRandom', { times: 1 })
  expect(await rejection(random(other.engine, other.session, SOON))).toMatchObject({ code: 'OPERATION_TIMEOUT' })
  const asked = [reinitialize(one.engine, 20), reinitialize(other.engine, 20), reinitialize(one.engine, 0)]
  expect(await Promise.all(asked)).toEqual([Reinitialization.BUSY, Reinitialization.BUSY, Reinitialization.BUSY])
  expect(counts()).toEqual(before)
  expect(await random(one.engine, one.session)).toHaveLength(4)
  module.release()
  await until(() => other.engine.stats().hung === 0)
  expect(await reinitialize(one.engine)).toBe(Reinitialization.DONE)
})

test('a C_Initialize that fails is tried again by the next who asks', async () => {
  const one = await ready()
  const other = await ready()
  module.fail('C_Initialize', 'CKR_DEVICE_ERROR', { times: 2 })
  for (const { engine } of [one, other]) {
    expect(await rejection(reinitialize(engine))).toMatchObject({ fn: 'C_Initialize', rvName: 'CKR_DEVICE_ERROR' })
  }
  expect(await reinitialize(one.engine)).toBe(Reinitialization.DONE)
  expect(await reinitialize(other.engine)).toBe(Reinitialization.ADOPTED)
  expect(await random(other.engine, await openSession(other.engine))).toHaveLength(4)
})

test('a C_Finalize that fails changes nothing, and is told', async () => {
  const { engine, session } = await ready()
  module.fail('C_Finalize', 'CKR_GENERAL_ERROR', { times: 1 })
  expect(await rejection(reinitialize(engine))).toMatchObject({ fn: 'C_Finalize', rvName: 'CKR_GENERAL_ERROR' })
  expect(await random(engine, session)).toHaveLength(4)
})

test('a C_Finalize that hangs loses one thread, shuts everybody out, and lets them in when it returns', async () => {
  const one = await ready()
  const other = await ready()
  module.hang('C_Finalize', { times: 1 })
  const call = one.engine.run(Operation.REINITIALIZE, undefined, SOON, 0, 1)
  expect(await rejection(call)).toMatchObject({ code: 'OPERATION_TIMEOUT' })
  expect(one.engine.stats().hung).toBe(1)
  expect(await rejection(random(other.engine, other.session))).toMatchObject({ rvName: 'CKR_CRYPTOKI_NOT_INITIALIZED' })
  module.release()
  await until(() => one.engine.stats().hung === 0)
  expect(await reinitialize(other.engine)).toBe(Reinitialization.ADOPTED)
  expect(await reinitialize(one.engine)).toBe(Reinitialization.ADOPTED)
  expect(await random(other.engine, await openSession(other.engine))).toHaveLength(4)
})
