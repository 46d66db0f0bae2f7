import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import pkcs11js from 'pkcs11js'
import { createChaos } from '../../src/index.js'
import { loadApplication, rvOf } from '../support/application.js'

const token = useSoftHsmToken({ keys: [{ label: 'k' }] })
const chaos = createChaos({ module: token.module })
const app = loadApplication(chaos.modulePath, token)
let session: Buffer

beforeEach(async () => {
  app.pkcs11.C_Initialize()
  session = app.open()
  await chaos.resetCounters()
})
afterEach(async () => {
  await chaos.rules.clear()
  await chaos.waitFor(({ inFlight }) => inFlight === 0)
  rvOf(() => app.pkcs11.C_Finalize())
})
afterAll(chaos.close)

const number = () => session.readBigUInt64LE()
const digestInit = () => app.pkcs11.C_DigestInit(session, { mechanism: pkcs11js.CKM_SHA256 })
const digest = (data = 'data') => app.pkcs11.C_Digest(session, Buffer.from(data), Buffer.alloc(32))
const wrongLogin = (pin = 'wrong') => rvOf(() => app.pkcs11.C_Login(session, pkcs11js.CKU_USER, pin))

test('two calls in one session at once', async () => {
  await chaos.rules.add({ on: 'C_Digest', hang: true })
  digestInit()
  const hung = app.pkcs11.C_DigestAsync(session, Buffer.from('data'), Buffer.alloc(32))
  await chaos.waitFor(({ hanging }) => hanging === 1)
  app.random(session)
  app.random(session)
  await chaos.release()
  await hung
  expect(await chaos.misuse()).toEqual([
    {
      kind: 'shared-session',
      function: 'C_GenerateRandom',
      count: 2,
      first: `C_GenerateRandom entered session ${number()} while C_Digest was inside`,
    },
  ])
})

test('two calls at once in two sessions are none', async () => {
  await chaos.rules.add({ on: 'C_Digest', hang: true })
  digestInit()
  const hung = app.pkcs11.C_DigestAsync(session, Buffer.from('data'), Buffer.alloc(32))
  await chaos.waitFor(({ hanging }) => hanging === 1)
  app.random(app.open())
  await chaos.release()
  await hung
  expect(await chaos.misuse()).toEqual([])
})

test('a call after C_Finalize', async () => {
  app.pkcs11.C_Finalize()
  expect(rvOf(() => app.random(session))).toBe('CKR_CRYPTOKI_NOT_INITIALIZED')
  expect(await chaos.misuse()).toEqual([
    {
      kind: 'after-finalize',
      function: 'C_GenerateRandom',
      count: 1,
      first: 'C_GenerateRandom was called after C_Finalize',
    },
  ])
})

test('a call before C_Initialize', async () => {
  const fresh = createChaos({ module: token.module })
  try {
    const early = loadApplication(fresh.modulePath, token)
    rvOf(() => early.pkcs11.C_GetTokenInfo(early.slot))
    expect(await fresh.misuse()).toEqual([
      {
        kind: 'before-initialize',
        function: 'C_GetTokenInfo',
        count: 1,
        first: 'C_GetTokenInfo was called before C_Initialize',
      },
    ])
  } finally {
    await fresh.close()
  }
})

test('an Init while the operation is active', async () => {
  digestInit()
  expect(rvOf(digestInit)).toBe('CKR_OPERATION_ACTIVE')
  expect(await chaos.misuse()).toEqual([
    {
      kind: 'operation-active',
      function: 'C_DigestInit',
      count: 1,
      first: `C_DigestInit was called while session ${number()} carried such an operation already`,
    },
  ])
})

test('an operation that has ended, or was asked for its length only, is none', async () => {
  digestInit()
  expect(digest()).toHaveLength(32)
  digestInit()
  app.pkcs11.C_DigestUpdate(session, Buffer.from('data'))
  app.pkcs11.C_DigestFinal(session, Buffer.alloc(32))
  digestInit()
  expect(() => app.pkcs11.C_Digest(session, Buffer.from('data'), Buffer.alloc(1))).toThrow('CKR_BUFFER_TOO_SMALL')
  expect(digest()).toHaveLength(32)
  app.pkcs11.C_FindObjectsInit(session, [])
  app.pkcs11.C_FindObjects(session, 1)
  app.pkcs11.C_FindObjectsFinal(session)
  expect(await chaos.misuse()).toEqual([])
})

test('a session closed with an operation active, one by one and in bulk', async () => {
  digestInit()
  app.pkcs11.C_CloseSession(session)
  for (const end of [() => app.pkcs11.C_CloseAllSessions(app.slot), () => app.pkcs11.C_Finalize()]) {
    session = app.open()
    digestInit()
    end()
  }
  expect((await chaos.misuse()).map(({ kind, function: fn, count }) => [kind, fn, count])).toEqual([
    ['closed-active', 'C_Finalize', 1],
    ['closed-active', 'C_CloseSession', 1],
    ['closed-active', 'C_CloseAllSessions', 1],
  ])
})

test('a login with a PIN that was rejected before', async () => {
  expect([wrongLogin(), wrongLogin('another')]).toEqual(['CKR_PIN_INCORRECT', 'CKR_PIN_INCORRECT'])
  expect(await chaos.misuse()).toEqual([])
  wrongLogin()
  const [misuse, ...none] = await chaos.misuse()
  expect(none).toEqual([])
  expect(misuse).toEqual({
    kind: 'pin-retried',
    function: 'C_Login',
    count: 1,
    first: 'C_Login was called with a PIN that was rejected before',
  })
})

test('a PIN that a rule rejected counts, and one that was accepted since does not', async () => {
  await chaos.rules.add({ on: 'C_Login', fail: 'CKR_PIN_INCORRECT', times: 2 })
  expect(rvOf(() => app.login(session))).toBe('CKR_PIN_INCORRECT')
  expect(rvOf(() => app.login(session))).toBe('CKR_PIN_INCORRECT')
  expect(rvOf(() => app.login(session))).toBe('CKR_OK')
  app.pkcs11.C_Logout(session)
  expect(rvOf(() => app.login(session))).toBe('CKR_OK')
  expect((await chaos.misuse())[0]).toMatchObject({ kind: 'pin-retried', count: 2 })
  expect((await chaos.counters()).logins).toEqual({ accepted: 2, already: 0, rejected: 2, failed: 0 })
})

test('a PIN may be tried again once it was changed', async () => {
  expect(wrongLogin('next-pin')).toBe('CKR_PIN_INCORRECT')
  app.login(session)
  app.pkcs11.C_SetPIN(session, token.pin, 'next-pin')
  app.pkcs11.C_Logout(session)
  expect(wrongLogin('next-pin')).toBe('CKR_OK')
  app.pkcs11.C_SetPIN(session, 'next-pin', token.pin)
  expect(await chaos.misuse()).toEqual([])
})

test('C_Finalize while a call is inside', async () => {
  await chaos.rules.add({ on: 'C_Digest', hang: true })
  digestInit()
  const hung = app.pkcs11.C_DigestAsync(session, Buffer.from('data'), Buffer.alloc(32)).catch(() => {})
  await chaos.waitFor(({ hanging }) => hanging === 1)
  app.pkcs11.C_Finalize()
  await chaos.release()
  await hung
  expect(await chaos.misuse()).toContainEqual({
    kind: 'finalize-while-inside',
    function: 'C_Finalize',
    count: 1,
    first: 'C_Finalize was called while C_Digest was inside',
  })
})
