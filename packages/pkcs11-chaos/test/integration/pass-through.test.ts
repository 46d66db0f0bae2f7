import { execFileSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { pkcs11Tool } from 'testkit'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createChaos } from '../../src/index.js'
import { loadApplication } from '../support/application.js'

const token = useSoftHsmToken({ keys: [{ label: 'k' }] })
const chaos = createChaos({ module: token.module })
const app = loadApplication(chaos.modulePath, token)

beforeAll(() => app.pkcs11.C_Initialize())
beforeEach(async () => {
  app.pkcs11.C_CloseAllSessions(app.slot)
  await chaos.resetCounters()
})
afterAll(async () => {
  app.pkcs11.C_Finalize()
  await chaos.close()
})

test('a call passes through to the real module, and what it computes is what the real module computes', () => {
  const session = app.open()
  app.login(session)
  const key = app.key(session)
  app.encryptInit(session, key)
  const cipher = app.encrypt(session)
  const direct = loadApplication(token.module, token)
  direct.encryptInit(session, key)
  expect(direct.encrypt(session)).toEqual(cipher)
})

test('calls, logins and sessions are counted, and a right program has no misuse', async () => {
  const sessions = [app.open(), app.open(), app.open()] as const
  app.login(sessions[0])
  expect(() => app.login(sessions[1])).toThrow('CKR_USER_ALREADY_LOGGED_IN')
  app.pkcs11.C_Logout(sessions[0])
  expect(() => app.pkcs11.C_Login(sessions[0], 1, 'wrong')).toThrow('CKR_PIN_INCORRECT')
  expect(() => app.pkcs11.C_Login(sessions[0], 77, token.pin)).toThrow('CKR_USER_TYPE_INVALID')
  app.pkcs11.C_CloseSession(sessions[0])
  app.random(sessions[1])
  app.random(sessions[1])

  const counters = await chaos.counters()
  expect(counters.functions).toMatchObject({
    C_OpenSession: { calls: 3, inFlight: 0, failed: 0, injected: 0 },
    C_Login: { calls: 4, inFlight: 0, failed: 3, injected: 0 },
    C_GenerateRandom: { calls: 2, inFlight: 0, failed: 0, injected: 0 },
  })
  expect(counters.logins).toEqual({ accepted: 1, already: 1, rejected: 1, failed: 1 })
  expect(counters.sessions).toEqual({ open: 2, peak: 3, lost: 0 })
  expect(counters).toMatchObject({ calls: 11, inFlight: 0, hanging: 0, rules: [] })
  expect(counters.processes).toMatchObject([{ pid: process.pid, ended: false, initialized: true }])
  expect(await chaos.misuse()).toEqual([])
})

test('closing all sessions of a slot is counted like closing each', async () => {
  app.open()
  app.open()
  app.pkcs11.C_CloseAllSessions(app.slot)
  expect((await chaos.counters()).sessions).toEqual({ open: 0, peak: 2, lost: 0 })
})

test('another program is counted by itself, and its last report stays after its end', async () => {
  expect(pkcs11Tool(token, ['--list-objects'], { module: chaos.modulePath })).toContain('k')
  const { processes, ...sum } = await chaos.counters()
  expect(processes).toHaveLength(2)
  expect(processes.find(({ ended }) => ended)).toMatchObject({
    initialized: false,
    functions: { C_Login: { calls: 1 }, C_FindObjectsInit: { calls: 1 } },
    sessions: { open: 0 },
    misuse: [],
  })
  expect(sum.logins.accepted).toBe(1)
  await chaos.resetCounters()
  expect((await chaos.counters()).processes).toHaveLength(1)
})

test('the control directory is for its owner only', () => {
  expect(statSync(chaos.directory).mode & 0o777).toBe(0o700)
})

test('the module exports what a PKCS#11 module has to, and nothing else', () => {
  const symbols = execFileSync('nm', ['-D', '--defined-only', chaos.modulePath], { encoding: 'utf8' })
  const names = symbols
    .trim()
    .split('\n')
    .map((line) => line.split(' ').at(-1))
  expect(names).toEqual(['C_GetFunctionList', 'C_GetInterface', 'C_GetInterfaceList'])
})

test('a path that does not exist, or an unknown option, is refused', () => {
  expect(() => createChaos({ module: '/nowhere.so' })).toThrow('/nowhere.so, which does not exist')
  const misspelt: object = { modul: token.module }
  expect(() => createChaos(misspelt as { module: string })).toThrow(
    "got option 'modul', which is none; did you mean module?",
  )
})
