import { createWrappedModule, hasOpenSessions } from 'testkit'
import { useSoftHsm } from 'testkit/vitest'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { createChaos } from '../../src/index.js'
import { loadApplication, rvOf } from '../support/application.js'

const softHsm = useSoftHsm()
const token = softHsm.createToken({ label: 'one', keys: [{ label: 'k' }] })
const otherToken = softHsm.createToken({ label: 'other' })
// counts what reaches it
const real = createWrappedModule(token)
const chaos = createChaos({ module: real.module })
const app = loadApplication(chaos.modulePath, token)
const other = loadApplication(chaos.modulePath, otherToken)
/** the flag of CK_SLOT_INFO */
const TOKEN_PRESENT = 1
/** CK_STATE */
const RW_PUBLIC_SESSION = 2
const RW_USER_FUNCTIONS = 3

let session: Buffer
let key: Buffer

const random = (of: Buffer) => rvOf(() => app.random(of))
const state = (of: Buffer) => app.pkcs11.C_GetSessionInfo(of).state
const slotIds = () => app.pkcs11.C_GetSlotList(true).map((slot) => Number(slot.readBigUInt64LE()))

beforeAll(() => app.pkcs11.C_Initialize())
beforeEach(async () => {
  session = app.open()
  app.login(session)
  key = app.key(session)
  await chaos.resetCounters()
})
afterEach(async () => {
  await chaos.insertToken()
  await chaos.rules.clear()
  for (const each of [app, other]) each.pkcs11.C_CloseAllSessions(each.slot)
})
afterAll(async () => {
  app.pkcs11.C_Finalize()
  await chaos.close()
  real.remove()
})

/** An encryption that the proxy holds before it reaches the token. */
async function encryptAndHang(): Promise<{ outcome: Promise<unknown> }> {
  await chaos.rules.add({ on: 'C_Encrypt', hang: true })
  app.encryptInit(session, key)
  const outcome = app.pkcs11
    .C_EncryptAsync(session, Buffer.from('plain'), Buffer.alloc(32))
    .catch((error: unknown) => error)
  await chaos.waitFor(({ hanging }) => hanging === 1)
  return { outcome }
}

test('dropped sessions are closed at the token and invalid for the program, and new ones are right again', async () => {
  const second = app.open()
  await chaos.dropSessions()
  expect(hasOpenSessions(token)).toBe(false)
  expect([random(session), random(second), rvOf(() => app.pkcs11.C_CloseSession(second))]).toEqual(
    Array(3).fill('CKR_SESSION_HANDLE_INVALID'),
  )
  expect((await chaos.counters()).sessions.open).toBe(0)
  session = app.open()
  expect(random(session)).toBe('CKR_OK')
  expect(state(session)).toBe(RW_PUBLIC_SESSION)
  expect((await chaos.counters()).sessions.open).toBe(1)
})

test('sessions of another slot than the one named stay', async () => {
  const elsewhere = other.open()
  await chaos.dropSessions({ slot: token.slot })
  expect([random(session), random(elsewhere)]).toEqual(['CKR_SESSION_HANDLE_INVALID', 'CKR_OK'])
})

test('a session that is dropped while a call in it is held does not let the call reach the token', async () => {
  const hung = await encryptAndHang()
  await chaos.dropSessions()
  expect(hasOpenSessions(token)).toBe(false)
  await chaos.release()
  expect(String(await hung.outcome)).toContain('CKR_SESSION_HANDLE_INVALID')
})

test('a session that is dropped after a call in it reached the token is closed when the call returns', async () => {
  await chaos.rules.add({ on: 'C_Encrypt', hang: true, phase: 'after' })
  app.encryptInit(session, key)
  const hung = app.pkcs11.C_EncryptAsync(session, Buffer.from('plain'), Buffer.alloc(32))
  await chaos.waitFor(({ hanging }) => hanging === 1)
  await chaos.dropSessions()
  expect(random(session)).toBe('CKR_SESSION_HANDLE_INVALID')
  expect(hasOpenSessions(token)).toBe(true)
  await chaos.release()
  expect(await hung).toHaveLength(16)
  await chaos.waitFor(({ inFlight }) => inFlight === 0)
  expect(hasOpenSessions(token)).toBe(false)
})

test('a lost session is closed at the token with the others', async () => {
  await chaos.rules.add({ on: 'C_OpenSession', fail: 'CKR_DEVICE_ERROR', phase: 'after', times: 1 })
  expect(rvOf(app.open)).toBe('CKR_DEVICE_ERROR')
  app.pkcs11.C_CloseSession(session)
  expect(hasOpenSessions(token)).toBe(true)
  await chaos.dropSessions()
  expect(hasOpenSessions(token)).toBe(false)
  expect((await chaos.counters()).sessions).toMatchObject({ open: 0, lost: 0 })
})

test('logging out happens in every session, and the program may log in again', async () => {
  await chaos.logOut()
  expect(state(session)).toBe(RW_PUBLIC_SESSION)
  expect(rvOf(() => app.encryptInit(session, key))).not.toBe('CKR_OK')
  app.login(session)
  expect(state(session)).toBe(RW_USER_FUNCTIONS)
  expect((await chaos.counters()).sessions.open).toBe(1)
})

test('logging out where nobody is logged in is no failure', async () => {
  await chaos.logOut()
  await expect(chaos.logOut()).resolves.toBeUndefined()
})

test('a token that was taken out is not there, and one put back is', async () => {
  await chaos.removeToken()
  expect(slotIds()).toEqual([])
  expect(app.pkcs11.C_GetSlotInfo(app.slot).flags & TOKEN_PRESENT).toBe(0)
  expect(rvOf(app.open)).toBe('CKR_TOKEN_NOT_PRESENT')
  expect(rvOf(() => app.pkcs11.C_GetTokenInfo(app.slot))).toBe('CKR_TOKEN_NOT_PRESENT')
  expect(random(session)).toBe('CKR_DEVICE_REMOVED')
  expect(hasOpenSessions(token)).toBe(false)

  await chaos.insertToken()
  expect(slotIds()).toContain(token.slot)
  expect(app.pkcs11.C_GetSlotInfo(app.slot).flags & TOKEN_PRESENT).not.toBe(0)
  expect(random(session)).toBe('CKR_SESSION_HANDLE_INVALID')
  expect(random(app.open())).toBe('CKR_OK')
})

test('only the token of the slot named is taken out and put back', async () => {
  const elsewhere = other.open()
  await chaos.removeToken({ slot: token.slot })
  expect(slotIds()).not.toContain(token.slot)
  expect(slotIds()).toContain(otherToken.slot)
  expect([random(session), random(elsewhere)]).toEqual(['CKR_DEVICE_REMOVED', 'CKR_OK'])
  await chaos.insertToken({ slot: otherToken.slot })
  expect(rvOf(app.open)).toBe('CKR_TOKEN_NOT_PRESENT')
  await chaos.insertToken({ slot: token.slot })
  expect(rvOf(app.open)).toBe('CKR_OK')
})

test('an initialization that is lost is there again after C_Initialize, without sessions or login', async () => {
  await chaos.loseInitialization()
  const calls = [
    () => app.random(session),
    () => app.pkcs11.C_GetSlotList(),
    () => app.open(),
    () => app.pkcs11.C_Finalize(),
  ]
  expect(calls.map(rvOf)).toEqual(Array(4).fill('CKR_CRYPTOKI_NOT_INITIALIZED'))
  expect(await chaos.misuse()).toEqual([])
  app.pkcs11.C_Initialize()
  expect(random(session)).toBe('CKR_SESSION_HANDLE_INVALID')
  session = app.open()
  expect(state(session)).toBe(RW_PUBLIC_SESSION)
  app.login(session)
  expect(rvOf(() => app.key(session))).toBe('CKR_OK')
})

test('an action happens at the very call that a rule names', async () => {
  await chaos.rules.add({ on: 'C_GenerateRandom', act: 'dropSessions', nth: 2 })
  expect([random(session), random(session)]).toEqual(['CKR_OK', 'CKR_SESSION_HANDLE_INVALID'])
  session = app.open()
  expect(random(session)).toBe('CKR_OK')
})

test.each([
  ['logOut', 'CKR_OK'],
  ['loseInitialization', 'CKR_CRYPTOKI_NOT_INITIALIZED'],
  ['removeToken', 'CKR_DEVICE_REMOVED'],
] as const)('the action %s at a call shows in the call itself: %s', async (act, rv) => {
  await chaos.rules.add({ on: 'C_GenerateRandom', act, times: 1 })
  expect(random(session)).toBe(rv)
  if (act === 'logOut') expect(state(session)).toBe(RW_PUBLIC_SESSION)
  if (act === 'loseInitialization') app.pkcs11.C_Initialize()
})

test('a call that was held while the library was finalized does not reach it', async () => {
  const hung = await encryptAndHang()
  app.pkcs11.C_Finalize()
  app.pkcs11.C_Initialize()
  await chaos.release()
  expect(String(await hung.outcome)).toContain('CKR_CRYPTOKI_NOT_INITIALIZED')
})

test('nor does one whose session was closed meanwhile, whose handle may be another’s by then', async () => {
  const hung = await encryptAndHang()
  app.pkcs11.C_CloseSession(session)
  const reached = real.calls('C_Encrypt')
  await chaos.release()
  expect(String(await hung.outcome)).toContain('CKR_SESSION_HANDLE_INVALID')
  expect(real.calls('C_Encrypt')).toBe(reached)
})
