import { expect, test } from 'vitest'
import { BreakerOpenError, type Client, type ClientOptions } from '../../src/index.js'
import { breakerCloses, nextEvent } from '../support/next-event.js'
import { rejection } from '../support/rejection.js'
import { useWrappedToken } from '../support/wrapped-token.js'

const { module, open: openWith } = useWrappedToken([{ label: 'k' }])
/** Each call is made once, so that it counts once. */
const open = (options: Partial<ClientOptions> = {}) => openWith({ retry: { maxAttempts: 1 }, ...options })
const iv = Buffer.alloc(16)
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv } as const
const key = { label: 'k' }
const breaker = { failureThreshold: 3, initialBackoffMs: 2, maxBackoffMs: 5 }
/** One that stays open until the test ends. */
const patient = { failureThreshold: 3, initialBackoffMs: 600_000, maxBackoffMs: 600_000 }
const random = (client: Client) => client.generateRandom(4)

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate)
}

async function failTimes(client: Client, times: number): Promise<void> {
  for (let time = 0; time < times; time += 1) await rejection(random(client))
}

test('failures of the token in a row open it: nothing is sent any more, and errors say when the next try is', async () => {
  const client = await open({ breaker: patient })
  module.fail('C_GenerateRandom', 'CKR_DEVICE_ERROR')
  await failTimes(client, 2)
  expect(client.health().breaker).toMatchObject({ state: 'closed', failures: 2 })
  await failTimes(client, 1)
  const { retryAt } = client.health().breaker
  module.clear()
  const before = [module.calls('C_GenerateRandom'), module.calls('C_FindObjectsInit'), module.calls('C_OpenSession')]
  const refusals = await Promise.all([
    rejection(random(client)),
    rejection(client.encrypt(key, cbc, iv)),
    rejection(client.keys.find()),
    rejection(client.batch([{ op: 'digest', mechanism: 'CKM_SHA256', data: iv }])),
    rejection(client.acquire()),
    rejection(client.withSession((session) => session.generateRandom(4))),
    rejection(client.withDedicatedSession(() => undefined)),
  ])
  for (const refusal of refusals) {
    expect(refusal).toBeInstanceOf(BreakerOpenError)
    expect(refusal).toMatchObject({ code: 'BREAKER_OPEN', retryAt, cause: { rvName: 'CKR_DEVICE_ERROR' } })
  }
  expect([module.calls('C_GenerateRandom'), module.calls('C_FindObjectsInit'), module.calls('C_OpenSession')]).toEqual(
    before,
  )
  expect(client.health()).toMatchObject({ state: 'down', breaker: { state: 'open', opened: 1 } })
  expect(client.metrics()).toContain('pkcs11_pool_breaker_open{token="test"} 1')
})

test('a success in between begins the count anew', async () => {
  const client = await open({ breaker: patient })
  for (let round = 0; round < 3; round += 1) {
    module.fail('C_GenerateRandom', 'CKR_DEVICE_ERROR', { times: 2 })
    await failTimes(client, 2)
    await random(client)
  }
  expect(client.stats().breakerOpened).toBe(0)
})

test.each(['CKR_DEVICE_REMOVED', 'CKR_TOKEN_NOT_PRESENT'] as const)(
  '%s opens it at once and drops all sessions, and the first good probe brings all back',
  async (rv) => {
    const client = await open({ breaker })
    await client.encrypt(key, cbc, iv)
    const events: string[] = []
    client.on('tokenLost', ({ cause }) => events.push(`lost by ${'rvName' in cause ? cause.rvName : cause.code}`))
    client.on('tokenBack', ({ downMs }) => events.push(`back, ${typeof downMs}`))
    const before = module.calls('C_Login')
    module.fail('C_GenerateRandom', rv, { times: 1 })
    await failTimes(client, 1)
    expect(client.stats()).toMatchObject({ currentSize: 0, generation: 2 })
    await breakerCloses(client)
    expect(await client.encrypt(key, cbc, iv)).toHaveLength(32)
    expect(module.calls('C_Login') - before).toBe(1)
    expect(events).toEqual([`lost by ${rv}`, 'back, number'])
    // The old sessions are closed: the pool's, and the anchor.
    await until(() => module.openSessions() === client.stats().currentSize + 1)
  },
)

test.each([
  ['a mistake of the caller', 'CKR_DATA_LEN_RANGE'],
  ['a session that failed', 'CKR_GENERAL_ERROR'],
  ['a session that is gone', 'CKR_SESSION_CLOSED'],
  ['no login', 'CKR_USER_NOT_LOGGED_IN'],
  ['overload', 'CKR_HOST_MEMORY'],
] as const)('%s never opens it', async (_, rv) => {
  const client = await open({ breaker: patient })
  module.fail('C_EncryptInit', rv)
  for (let time = 0; time < 10; time += 1) await rejection(client.encrypt(key, cbc, iv))
  expect(client.health().breaker).toMatchObject({ state: 'closed', failures: 0, opened: 0 })
})

test('a wrong padding that the token takes for an error of its own never opens it', async () => {
  const client = await open({ breaker: patient })
  module.fail('C_Decrypt', 'CKR_DEVICE_ERROR')
  for (let time = 0; time < 5; time += 1) await rejection(client.decrypt(key, cbc, iv))
  expect(client.health().breaker.state).toBe('closed')
})

const HANGS: Partial<ClientOptions> = {
  breaker,
  health: { probeTimeoutMs: 30 },
  pool: { maxSize: 4, operationTimeoutMs: 1_500, minSize: 0 },
}

test('calls that hang open it, those whose callers have gone too; when they return, it closes', async () => {
  const client = await open(HANGS)
  const sessions = await Promise.all([client.acquire(), client.acquire(), client.acquire()])
  for (const session of sessions) session.release()
  module.hang('C_GenerateRandom')
  module.hang('C_GetSessionInfo')
  const opened = nextEvent(client, 'breaker')
  const gone = new AbortController()
  const aborted = sessions.map(() => rejection(client.generateRandom(4, { signal: gone.signal, timeoutMs: 5_000 })))
  await until(() => module.hanging() === 3)
  gone.abort(new Error('not needed any more'))
  for (const error of await Promise.all(aborted)) expect(error).toMatchObject({ message: 'not needed any more' })
  expect(await opened).toMatchObject({ state: 'open', cause: { code: 'OPERATION_TIMEOUT' } })
  module.release()
  await breakerCloses(client)
  expect(await random(client)).toHaveLength(4)
  await until(() => client.stats().engine.hung === 0)
  expect(client.health().state).toBe('ok')
})

test('however many calls come while it is tried, there is one probe, and they are refused', async () => {
  const client = await open({ breaker, health: { probeTimeoutMs: 60_000 } })
  module.fail('C_GenerateRandom', 'CKR_DEVICE_ERROR', { times: 3 })
  module.hang('C_GetSessionInfo')
  const before = module.calls('C_GetSessionInfo')
  const tried = nextEvent(client, 'breaker', ({ state }) => state === 'half-open')
  await failTimes(client, 3)
  await tried
  await until(() => module.hanging() === 1)
  for (const error of await Promise.all(Array.from({ length: 20 }, () => rejection(random(client))))) {
    expect(error).toMatchObject({ code: 'BREAKER_OPEN', message: expect.stringContaining('being tried now') })
  }
  expect(module.calls('C_GetSessionInfo') - before).toBe(1)
  module.release()
  await breakerCloses(client)
  await random(client)
})

test('those who wait for a session when it opens are refused at once', async () => {
  const client = await open({ breaker: patient, pool: { maxSize: 1 } })
  const session = await client.acquire()
  const waiting = rejection(random(client))
  module.fail('C_GenerateRandom', 'CKR_DEVICE_REMOVED', { times: 1 })
  await rejection(session.generateRandom(4))
  expect(await waiting).toMatchObject({ code: 'BREAKER_OPEN' })
  session.release()
})

test('a PIN that a probe’s login is refused with is not sent again, and what is down is called locked', async () => {
  const client = await open({ breaker })
  const before = module.calls('C_Login')
  module.fail('C_Login', 'CKR_PIN_INCORRECT')
  module.fail('C_GenerateRandom', 'CKR_DEVICE_REMOVED', { times: 1 })
  await failTimes(client, 1)
  await breakerCloses(client)
  module.clear()
  for (let time = 0; time < 5; time += 1) {
    expect(await rejection(random(client))).toMatchObject({ code: 'CREDENTIALS_REJECTED' })
  }
  expect(module.calls('C_Login') - before).toBe(1)
  expect(client.health().state).toBe('locked')
})

test('a token that never comes back is tried again and again, and close ends that', async () => {
  const client = await open({ breaker })
  module.fail('C_GenerateRandom', 'CKR_DEVICE_REMOVED', { times: 1 })
  module.fail('C_OpenSession', 'CKR_TOKEN_NOT_PRESENT')
  let tries = 0
  client.on('breaker', ({ state }) => {
    if (state === 'half-open') tries += 1
  })
  await failTimes(client, 1)
  await until(() => tries > 5)
  const before = module.calls('C_Login')
  await client.close()
  expect(module.calls('C_Login')).toBe(before)
  expect(client.health().breaker.opened).toBe(1)
})
