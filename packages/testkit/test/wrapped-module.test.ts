import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import pkcs11js from 'pkcs11js'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { createWrappedModule, type WrappedModule } from '../src/index.js'
import { useSoftHsmToken } from '../src/vitest.js'

const token = useSoftHsmToken({ keys: [{ label: 'k' }] })
const wrapped = createWrappedModule(token)
const pkcs11 = new pkcs11js.PKCS11()
const slot = Buffer.alloc(8)
slot.writeBigUInt64LE(BigInt(token.slot))
let session: Buffer

beforeAll(() => {
  pkcs11.load(wrapped.module)
  pkcs11.C_Initialize()
})
beforeEach(() => {
  session = pkcs11.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION)
})
afterEach(() => {
  wrapped.clear()
  pkcs11.C_CloseAllSessions(slot)
})
afterAll(() => {
  pkcs11.C_Finalize()
  wrapped.remove()
})

const random = () => pkcs11.C_GenerateRandom(session, Buffer.alloc(4))
const rvOf = (call: () => unknown): number => {
  try {
    call()
    return 0
  } catch (error) {
    return error instanceof pkcs11js.Pkcs11Error ? error.code : -1
  }
}

test('a call passes through to the real module', () => {
  pkcs11.C_Login(session, pkcs11js.CKU_USER, token.pin)
  pkcs11.C_FindObjectsInit(session, [{ type: pkcs11js.CKA_LABEL, value: 'k' }])
  const [key] = pkcs11.C_FindObjects(session, 2)
  pkcs11.C_FindObjectsFinal(session)
  const mechanism = { mechanism: pkcs11js.CKM_AES_CBC_PAD, parameter: Buffer.alloc(16) }
  pkcs11.C_EncryptInit(session, mechanism, key ?? Buffer.alloc(0))
  const cipher = pkcs11.C_Encrypt(session, Buffer.from('plain'), Buffer.alloc(16))
  pkcs11.C_DecryptInit(session, mechanism, key ?? Buffer.alloc(0))
  expect(pkcs11.C_Decrypt(session, cipher, Buffer.alloc(16)).toString()).toBe('plain')
  pkcs11.C_Logout(session)
})

test('calls are counted by function', () => {
  const before = wrapped.calls('C_GenerateRandom')
  random()
  random()
  expect(wrapped.calls('C_GenerateRandom') - before).toBe(2)
  expect(wrapped.running()).toBe(0)
})

test('open sessions are counted, one by one and all at once', () => {
  const second = pkcs11.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION)
  pkcs11.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION)
  expect(wrapped.openSessions()).toBe(3)
  pkcs11.C_CloseSession(second)
  expect(wrapped.openSessions()).toBe(2)
  pkcs11.C_CloseAllSessions(slot)
  expect(wrapped.openSessions()).toBe(0)
})

test('a failure hits exactly the calls it was asked for', () => {
  wrapped.fail('C_GenerateRandom', 'CKR_DEVICE_ERROR', { from: 2, times: 2 })
  expect([random, random, random, random].map(rvOf)).toEqual([
    0,
    pkcs11js.CKR_DEVICE_ERROR,
    pkcs11js.CKR_DEVICE_ERROR,
    0,
  ])
})

test('a failure lasts until it is cleared, and may be a vendor’s own value', () => {
  wrapped.fail('C_GenerateRandom', 0x80000001)
  expect([random, random].map(rvOf)).toEqual([0x80000001, 0x80000001])
  wrapped.clear('C_GenerateRandom')
  expect(rvOf(random)).toBe(0)
})

test('a delay makes a call take at least that long', () => {
  wrapped.delay('C_GenerateRandom', 20_000)
  const start = process.hrtime.bigint()
  random()
  expect(Number(process.hrtime.bigint() - start)).toBeGreaterThanOrEqual(20_000_000)
})

test('a hanging call returns when it is released', async () => {
  wrapped.hang('C_GenerateRandom', { times: 1 })
  const child = otherProcess(wrapped)
  while (wrapped.hanging() === 0) await new Promise(setImmediate)
  expect(wrapped.running('C_GenerateRandom')).toBe(1)
  expect(child.exitCode).toBe(null)
  wrapped.release('C_GenerateRandom')
  expect(await once(child, 'exit')).toEqual([0, null])
  expect(wrapped.hanging()).toBe(0)
})

test('a misspelt function or return value is refused', () => {
  expect(() => wrapped.hang('C_Encrpyt')).toThrow('C_Encrpyt is no function')
  expect(() => wrapped.fail('C_Encrypt', 'CKR_NO_SUCH')).toThrow('CKR_NO_SUCH is no return value')
})

test('two wrapped modules of one process have rules of their own', () => {
  const other = createWrappedModule(token)
  try {
    other.fail('C_GenerateRandom', 'CKR_DEVICE_ERROR')
    expect(rvOf(random)).toBe(0)
    expect(other.calls('C_GenerateRandom')).toBe(0)
  } finally {
    other.remove()
  }
})

test('C_GetFunctionList is the module’s only export beside what C needs', () => {
  const symbols = execFileSync('nm', ['-D', '--defined-only', wrapped.module], { encoding: 'utf8' })
  expect([...symbols.matchAll(/ T (\w+)/g)].map(([, name]) => name)).toEqual(['C_GetFunctionList'])
})

function otherProcess({ module }: WrappedModule) {
  const script = `
    const p = new (require('pkcs11js').PKCS11)()
    p.load(${JSON.stringify(module)})
    p.C_Initialize()
    p.C_GenerateRandom(p.C_OpenSession(p.C_GetSlotList(true)[0], 4), Buffer.alloc(4))
    p.C_Finalize()`
  return spawn(process.execPath, ['-e', script], { cwd: import.meta.dirname, env: process.env, stdio: 'inherit' })
}

test('a limit of sessions is told as the token’s own, and holds', () => {
  const before = pkcs11.C_GetTokenInfo(slot)
  wrapped.limitSessions(3)
  const more = [1, 2].map(() => pkcs11.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION))
  expect(rvOf(() => pkcs11.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION))).toBe(pkcs11js.CKR_SESSION_COUNT)
  expect(pkcs11.C_GetTokenInfo(slot)).toMatchObject({ maxSessionCount: 3, sessionCount: 3, maxRwSessionCount: 3 })
  for (const each of more) pkcs11.C_CloseSession(each)
  expect(pkcs11.C_GetTokenInfo(slot)).toMatchObject({ maxSessionCount: 3, sessionCount: 1 })
  wrapped.limitSessions(Infinity)
  expect(pkcs11.C_GetTokenInfo(slot).maxSessionCount).toBe(before.maxSessionCount)
  const many = [1, 2, 3, 4].map(() => pkcs11.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION))
  expect(wrapped.openSessions()).toBe(5)
  for (const each of many) pkcs11.C_CloseSession(each)
})
