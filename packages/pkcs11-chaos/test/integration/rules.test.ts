import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import pkcs11js from 'pkcs11js'
import { createChaos, type Rule } from '../../src/index.js'
import { loadApplication, rvOf } from '../support/application.js'

const token = useSoftHsmToken({ keys: [{ label: 'k' }] })
const chaos = createChaos({ module: token.module })
const app = loadApplication(chaos.modulePath, token)
let session: Buffer
let key: Buffer

const DEVICE_ERROR = 'CKR_DEVICE_ERROR'
const random = () => rvOf(() => app.random(session))
const randoms = (count: number) => Array.from({ length: count }, random)
const failures = (count: number) =>
  randoms(count)
    .map((rv) => (rv === 'CKR_OK' ? '.' : 'x'))
    .join('')
const encryptInit = () => rvOf(() => app.encryptInit(session, key))
const encrypt = () => rvOf(() => app.encrypt(session))
const encryptUpdate = () => rvOf(() => app.pkcs11.C_EncryptUpdate(session, Buffer.alloc(16), Buffer.alloc(32)))
const encryptFinal = () => rvOf(() => app.pkcs11.C_EncryptFinal(session, Buffer.alloc(32)))
/** An encryption on a thread of its own. */
const encryptAside = () => app.pkcs11.C_EncryptAsync(session, Buffer.from('plain'), Buffer.alloc(32))
const rule = (rest: object) => ({ on: 'C_GenerateRandom', fail: DEVICE_ERROR, ...rest }) as Rule

beforeAll(() => app.pkcs11.C_Initialize())
beforeEach(async () => {
  session = app.open()
  app.login(session)
  key = app.key(session)
  await chaos.resetCounters()
})
afterEach(async () => {
  await chaos.rules.clear()
  app.pkcs11.C_CloseAllSessions(app.slot)
})
afterAll(async () => {
  app.pkcs11.C_Finalize()
  await chaos.close()
})

test('a call fails with the value asked for, until the rule is removed', async () => {
  const id = await chaos.rules.add(rule({}))
  expect(randoms(2)).toEqual([DEVICE_ERROR, DEVICE_ERROR])
  await chaos.rules.remove(id)
  expect(random()).toBe('CKR_OK')
  expect((await chaos.counters()).functions.C_GenerateRandom).toEqual({ calls: 3, inFlight: 0, failed: 2, injected: 2 })
})

test('a vendor’s own value reaches the program as it is', async () => {
  await chaos.rules.add(rule({ fail: 0x80000001 }))
  expect(() => app.random(session)).toThrow(expect.objectContaining({ code: 0x80000001 }))
})

test('a rule may be for several functions, or for all', async () => {
  const id = await chaos.rules.add({ on: ['C_GenerateRandom', 'C_EncryptInit'], fail: DEVICE_ERROR })
  expect([random(), encryptInit(), rvOf(() => app.key(session))]).toEqual([DEVICE_ERROR, DEVICE_ERROR, 'CKR_OK'])
  await chaos.rules.remove(id)
  await chaos.rules.add({ on: '*', fail: DEVICE_ERROR })
  expect([random(), rvOf(() => app.pkcs11.C_GetSlotList()), rvOf(() => app.key(session))]).toEqual(
    Array(3).fill(DEVICE_ERROR),
  )
})

test.each([
  ['the n-th call', { nth: 3 }, '..x.....'],
  ['every k-th call', { every: 3 }, '..x..x..'],
  ['at most so many calls', { times: 2 }, 'xx......'],
  ['every k-th call, at most so often', { every: 2, times: 3 }, '.x.x.x..'],
  ['no call at probability 0', { probability: 0 }, '........'],
  ['each call at probability 1', { probability: 1 }, 'xxxxxxxx'],
  ['the calls at a slot', { slot: token.slot }, 'xxxxxxxx'],
  ['no call at another slot', { slot: token.slot + 1 }, '........'],
])('a rule affects %s', async (_, condition, expected) => {
  await chaos.rules.add(rule(condition))
  expect(failures(8)).toBe(expected)
})

test('with a probability each call is drawn, and the same seed draws the same', async () => {
  const draw = async (seed: number) => {
    await chaos.rules.set([rule({ probability: 0.5, seed })])
    return failures(64)
  }
  const first = await draw(7)
  expect(await draw(7)).toBe(first)
  expect(await draw(8)).not.toBe(first)
  expect(first).toMatch(/x/)
  expect(first).toMatch(/\./)
})

test('a rule holds from one call until another, and again from the next', async () => {
  await chaos.rules.add(rule({ from: 'C_EncryptInit', until: 'C_Encrypt' }))
  expect(random()).toBe('CKR_OK')
  for (let turn = 0; turn < 2; turn += 1) {
    encryptInit()
    expect(random()).toBe(DEVICE_ERROR)
    encrypt()
    expect(random()).toBe('CKR_OK')
  }
})

test('a rule with an end only holds from now until then', async () => {
  await chaos.rules.add(rule({ until: 'C_EncryptInit' }))
  expect(random()).toBe(DEVICE_ERROR)
  encryptInit()
  expect(random()).toBe('CKR_OK')
})

test('a lost answer: the call took effect, and the program is told that it did not', async () => {
  await chaos.rules.add({ on: 'C_GenerateKey', fail: DEVICE_ERROR, phase: 'after' })
  const template = [
    { type: pkcs11js.CKA_LABEL, value: 'made' },
    { type: pkcs11js.CKA_VALUE_LEN, value: 32 },
  ]
  expect(rvOf(() => app.pkcs11.C_GenerateKey(session, { mechanism: pkcs11js.CKM_AES_KEY_GEN }, template))).toBe(
    DEVICE_ERROR,
  )
  app.pkcs11.C_FindObjectsInit(session, [{ type: pkcs11js.CKA_LABEL, value: 'made' }])
  expect(app.pkcs11.C_FindObjects(session, 2)).toHaveLength(1)
  app.pkcs11.C_FindObjectsFinal(session)
})

test('what failed by itself is not called lost', async () => {
  await chaos.rules.add({ on: 'C_Encrypt', fail: DEVICE_ERROR, phase: 'after' })
  expect(encrypt()).toBe('CKR_OPERATION_NOT_INITIALIZED')
})

test('a session whose opening was a lost answer is counted as lost', async () => {
  await chaos.rules.add({ on: 'C_OpenSession', fail: DEVICE_ERROR, phase: 'after' })
  expect(rvOf(app.open)).toBe(DEVICE_ERROR)
  expect((await chaos.counters()).sessions).toMatchObject({ open: 1, lost: 1 })
})

test('a delay makes a call take at least that long', async () => {
  await chaos.rules.add({ on: 'C_GenerateRandom', delayMs: 20 })
  const start = process.hrtime.bigint()
  random()
  expect(Number(process.hrtime.bigint() - start)).toBeGreaterThanOrEqual(20_000_000)
  expect((await chaos.counters()).functions.C_GenerateRandom?.injected).toBe(1)
})

test('a delay between two is at least the smaller', async () => {
  await chaos.rules.add({ on: 'C_GenerateRandom', delayMs: [10, 20], seed: 3 })
  const start = process.hrtime.bigint()
  expect(random()).toBe('CKR_OK')
  expect(Number(process.hrtime.bigint() - start)).toBeGreaterThanOrEqual(10_000_000)
})

test('a call hangs until it is released, and the rule stays', async () => {
  await chaos.rules.add({ on: 'C_Encrypt', hang: true })
  for (let turn = 0; turn < 2; turn += 1) {
    encryptInit()
    const hung = encryptAside()
    const held = await chaos.waitFor(({ hanging }) => hanging === 1)
    expect(held.functions.C_Encrypt?.inFlight).toBe(1)
    await chaos.release()
    expect(await hung).toHaveLength(16)
  }
})

test('only the calls of the rule named are released', async () => {
  const id = await chaos.rules.add({ on: 'C_Encrypt', hang: true })
  encryptInit()
  const hung = encryptAside()
  await chaos.waitFor(({ hanging }) => hanging === 1)
  await chaos.release('000000')
  expect((await chaos.counters()).hanging).toBe(1)
  await chaos.release(id)
  await hung
})

test('removing a rule lets go the calls that it holds, hanging or delayed', async () => {
  for (const held of [{ hang: true }, { delayMs: 3_600_000 }] as const) {
    await chaos.rules.add({ on: 'C_Encrypt', ...held })
    encryptInit()
    const hung = encryptAside()
    await chaos.waitFor(({ functions }) => functions.C_Encrypt?.inFlight === 1)
    await chaos.rules.clear()
    expect(await hung).toHaveLength(16)
  }
})

test('rules act in the order in which they were added: held, then failed', async () => {
  await chaos.rules.set([
    { on: 'C_Encrypt', hang: true },
    { on: 'C_Encrypt', fail: DEVICE_ERROR },
  ])
  encryptInit()
  const hung = encryptAside().catch((error: unknown) => error)
  await chaos.waitFor(({ hanging }) => hanging === 1)
  await chaos.release()
  expect(String(await hung)).toContain(DEVICE_ERROR)
})

test('a rule that acts does not hide the call from another rule’s count', async () => {
  await chaos.rules.set([rule({ times: 2 }), rule({ nth: 3, fail: 'CKR_DEVICE_MEMORY' })])
  expect(randoms(4)).toEqual([DEVICE_ERROR, DEVICE_ERROR, 'CKR_DEVICE_MEMORY', 'CKR_OK'])
  expect((await chaos.counters()).rules).toMatchObject([
    { matched: 4, applied: 2 },
    { matched: 4, applied: 1 },
  ])
})

test('sessions beyond a limit are refused, and one that is closed makes room', async () => {
  await chaos.rules.add({ sessionLimit: 2 })
  const second = app.open()
  expect(rvOf(app.open)).toBe('CKR_SESSION_COUNT')
  app.pkcs11.C_CloseSession(second)
  expect(rvOf(app.open)).toBe('CKR_OK')
  expect((await chaos.counters()).sessions).toMatchObject({ open: 2, peak: 2 })
})

test('of two limits the smaller counts', async () => {
  await chaos.rules.set([{ sessionLimit: 3 }, { sessionLimit: 2 }])
  expect([app.open, app.open].map(rvOf)).toEqual(['CKR_OK', 'CKR_SESSION_COUNT'])
})

test('calls beyond a rate fail', async () => {
  await chaos.rules.add({ on: 'C_GenerateRandom', throttle: { perSecond: 0.001, burst: 3 } })
  expect(randoms(5)).toEqual(['CKR_OK', 'CKR_OK', 'CKR_OK', 'CKR_FUNCTION_FAILED', 'CKR_FUNCTION_FAILED'])
})

test('calls beyond a rate fail with the value asked for', async () => {
  await chaos.rules.add({ on: 'C_GenerateRandom', throttle: { perSecond: 0.001, rv: 'CKR_OPERATION_ACTIVE' } })
  expect(randoms(2)).toEqual(['CKR_OK', 'CKR_OPERATION_ACTIVE'])
})

test('the token’s flags and its maximum of sessions are what a rule says', async () => {
  const before = app.pkcs11.C_GetTokenInfo(app.slot).flags
  await chaos.rules.add({
    tokenInfo: {
      set: ['CKF_USER_PIN_LOCKED', 'CKF_USER_PIN_FINAL_TRY'],
      clear: ['CKF_LOGIN_REQUIRED'],
      maxSessions: 16,
    },
  })
  const info = app.pkcs11.C_GetTokenInfo(app.slot)
  expect(info.flags).toBe((before | 0x40000 | 0x20000) & ~0x4)
  expect(info).toMatchObject({ maxSessionCount: 16, maxRwSessionCount: 16 })
  await chaos.rules.clear()
  expect(app.pkcs11.C_GetTokenInfo(app.slot).flags).toBe(before)
})

test('an operation that the program must take for ended is ended in the real module too', async () => {
  await chaos.rules.add({ on: ['C_Encrypt', 'C_EncryptUpdate', 'C_EncryptFinal'], fail: DEVICE_ERROR })
  for (const end of [encrypt, encryptUpdate, encryptFinal]) {
    expect([encryptInit(), end()]).toEqual(['CKR_OK', DEVICE_ERROR])
  }
  await chaos.rules.clear()
  expect([encryptInit(), encrypt()]).toEqual(['CKR_OK', 'CKR_OK'])
  expect(await chaos.misuse()).toEqual([])
})

test('so is one whose update was a lost answer', async () => {
  await chaos.rules.add({ on: 'C_EncryptUpdate', fail: DEVICE_ERROR, phase: 'after' })
  expect([encryptInit(), encryptUpdate(), encryptInit(), encrypt()]).toEqual([
    'CKR_OK',
    DEVICE_ERROR,
    'CKR_OK',
    'CKR_OK',
  ])
  expect(await chaos.misuse()).toEqual([])
})

test('a buffer that is called too small leaves the operation as it is', async () => {
  await chaos.rules.add({ on: 'C_Encrypt', fail: 'CKR_BUFFER_TOO_SMALL', times: 1 })
  expect([encryptInit(), encrypt(), encrypt()]).toEqual(['CKR_OK', 'CKR_BUFFER_TOO_SMALL', 'CKR_OK'])
})

test('rules are listed as they are stored, and setting them replaces all', async () => {
  await chaos.rules.add(rule({}))
  const [id] = await chaos.rules.set([rule({ every: 2 })])
  expect(chaos.rules.list()).toEqual([{ id, text: 'on=C_GenerateRandom fail=48 every=2' }])
  expect(failures(2)).toBe('.x')
})

test('an unknown id is refused', async () => {
  await expect(chaos.rules.remove('17')).rejects.toMatchObject({
    code: 'UNKNOWN_RULE',
    message: "got rule id '17', expected none: there are no rules",
  })
})

test('of rules of which one is wrong none is set', async () => {
  await chaos.rules.add(rule({}))
  await expect(chaos.rules.set([rule({ every: 2 }), rule({ every: 0 })])).rejects.toMatchObject({
    code: 'INVALID_RULE',
  })
  expect(failures(2)).toBe('xx')
})

test('waiting for what does not come ends with the counters, or with the signal', async () => {
  await expect(chaos.waitFor(() => false, { timeoutMs: 0 })).rejects.toMatchObject({ code: 'TIMEOUT' })
  const reason = new Error('enough')
  await expect(chaos.waitFor(() => false, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
})
