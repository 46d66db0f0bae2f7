import { createHash } from 'node:crypto'
import { createChaos } from 'pkcs11-chaos'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  type Client,
  type ClientOptions,
  createClient,
  type OperationOptions,
  Pkcs11PoolError,
} from '../../src/index.js'
import { until } from '../support/engine-on-token.js'
import { rejection } from '../support/rejection.js'

const token = useSoftHsmToken()
const chaos = createChaos({ module: token.module })
const P256 = Buffer.from('06082a8648ce3d030107', 'hex')
const hash = createHash('sha256').update('data').digest()
const key = { label: 'each use', class: 'CKO_PRIVATE_KEY' } as const
const reason = new Error('not wanted any more')
let client: Client

const open = (options: Partial<ClientOptions> = {}) =>
  createClient({ module: chaos.modulePath, token: { label: token.label }, pin: { file: token.pinFile }, ...options })
const sign = (options?: OperationOptions) => client.sign(key, 'CKM_ECDSA', hash, options)
const outcome = (signature: Promise<Buffer>) => signature.then(() => 'signed' as const, codeOf)
const codeOf = (error: unknown) => (error instanceof Pkcs11PoolError ? error.code : error)
const logins = async () => (await chaos.counters()).functions.C_Login?.calls ?? 0
/** The outcome of a use once no answer is waited for any more. */
const settledUse = async () => {
  for (;;) {
    const now = await outcome(sign())
    if (now !== 'OPERATION_TIMEOUT') return now
    await new Promise(setImmediate)
  }
}

beforeAll(async () => {
  client = await open()
  const common = { CKA_LABEL: key.label, CKA_TOKEN: true } as const
  await client.keys.generatePair(
    'CKM_EC_KEY_PAIR_GEN',
    { ...common, CKA_EC_PARAMS: P256, CKA_VERIFY: true },
    { ...common, CKA_PRIVATE: true, CKA_SENSITIVE: true, CKA_SIGN: true, CKA_ALWAYS_AUTHENTICATE: true },
  )
  await client.close()
})
beforeEach(async () => {
  client = await open()
  await sign()
  await chaos.resetCounters()
})
afterEach(async () => {
  await chaos.rules.clear()
  await client.close()
  const misuse = (await chaos.misuse()).filter(({ kind }) => kind !== 'closed-active')
  if (misuse.length > 0) throw new Error(JSON.stringify(misuse))
})
afterAll(() => chaos.close())

/** Who asked for the first use, and when he stops waiting for it; `hang` holds its C_Login. Answers with what he hears, and who asks beside a call that hangs. */
const CALLERS = {
  async 'waits for it'(hang) {
    const first = outcome(sign())
    await hang.held()
    await hang.release()
    return [await first]
  },
  async 'aborts before'() {
    return [await outcome(sign({ signal: AbortSignal.abort(reason) }))]
  },
  async 'aborts while it waits for its turn'(hang) {
    const other = outcome(sign())
    await hang.held()
    const aborted = new AbortController()
    const first = outcome(sign({ signal: aborted.signal }))
    aborted.abort(reason)
    const heard = await first
    await hang.release()
    await other
    return [heard]
  },
  async 'aborts during, and it is answered'(hang) {
    const aborted = new AbortController()
    const first = outcome(sign({ signal: aborted.signal }))
    await hang.held()
    aborted.abort(reason)
    const heard = await first
    const others = [outcome(sign()), outcome(sign())]
    await hang.release()
    await Promise.all(others)
    return [heard]
  },
  async 'aborts during, and it is answered after its deadline'(hang) {
    const aborted = new AbortController()
    const first = outcome(sign({ signal: aborted.signal, timeoutMs: 1_000 }))
    await hang.held()
    aborted.abort(reason)
    const heard = await first
    await until(() => client.stats().engine.hung === 1)
    const beside = await outcome(sign())
    await hang.release()
    return [heard, beside]
  },
  async 'runs out of time'(hang) {
    const first = outcome(sign({ timeoutMs: 1_000 }))
    await hang.held()
    const heard = await first
    const beside = await outcome(sign())
    await hang.release()
    return [heard, beside]
  },
} satisfies Record<string, (hang: { held(): Promise<unknown>; release(): Promise<void> }) => Promise<unknown[]>>

const HEARS: Record<keyof typeof CALLERS, unknown[] | undefined> = {
  'waits for it': undefined,
  'aborts before': [reason],
  'aborts while it waits for its turn': [reason],
  'aborts during, and it is answered': [reason],
  'aborts during, and it is answered after its deadline': [reason, 'OPERATION_TIMEOUT'],
  'runs out of time': ['OPERATION_TIMEOUT', 'OPERATION_TIMEOUT'],
}

const cases = (Object.keys(CALLERS) as (keyof typeof CALLERS)[]).flatMap((caller) => [
  { caller, answer: 'accepts' as const, after: 'signed' as const },
  { caller, answer: 'rejects' as const, after: 'CREDENTIALS_REJECTED' as const },
])

test.each(cases)('a use whose caller $caller, of a token that $answer the PIN', async ({ caller, answer, after }) => {
  const hang = await chaos.rules.add({ on: 'C_Login', hang: true, times: 1 })
  if (answer === 'rejects') await chaos.rules.add({ on: 'C_Login', fail: 'CKR_PIN_INCORRECT' })
  const heard = await CALLERS[caller]({
    held: () => chaos.waitFor(({ hanging }) => hanging === 1),
    release: () => chaos.release(hang),
  })
  expect(heard).toEqual(HEARS[caller] ?? [after])
  await chaos.rules.remove(hang)
  expect([await settledUse(), await settledUse()]).toEqual([after, after])
  const { rejected } = (await chaos.counters()).logins
  expect(rejected).toBe(answer === 'rejects' ? 1 : 0)
  if (answer === 'rejects') expect(await logins()).toBe(1)
})

test('an answer that never comes lets no other use send the PIN, whoever has stopped waiting', async () => {
  await chaos.rules.add({ on: 'C_Login', hang: true })
  const aborted = new AbortController()
  const first = rejection(sign({ signal: aborted.signal, timeoutMs: 1_000 }))
  await chaos.waitFor(({ hanging }) => hanging === 1)
  aborted.abort(reason)
  expect(await first).toBe(reason)
  const uses = await Promise.all([outcome(sign()), outcome(sign()), outcome(sign())])
  expect(uses).toEqual(['OPERATION_TIMEOUT', 'OPERATION_TIMEOUT', 'OPERATION_TIMEOUT'])
  expect(await logins()).toBe(1)
})

test.each(['is taken back', 'is refused, because that hangs'] as const)(
  'a use behind another call in its session %s: it has sent nothing, and keeps no other from it',
  async (how) => {
    const session = await client.acquire()
    const { handle } = await session.findKey(key)
    await chaos.rules.add({ on: 'C_Digest', hang: true })
    const timeoutMs = how === 'is taken back' ? 60_000 : 1_000
    const digest = outcome(session.digest('CKM_SHA256', hash, { timeoutMs }))
    await chaos.waitFor(({ hanging }) => hanging === 1)
    const aborted = new AbortController()
    const behind = outcome(session.sign(handle, 'CKM_ECDSA', hash, { signal: aborted.signal }))
    await until(() => client.stats().engine.queued === 1)
    if (how === 'is taken back') aborted.abort(reason)
    expect(await behind).toBe(how === 'is taken back' ? reason : 'CRYPTOKI')
    expect(await outcome(sign())).toBe('signed')
    expect(await logins()).toBe(1)
    await chaos.rules.clear()
    await digest
    session.release()
  },
)

test('what C_Sign says of a PIN is not said of the one that C_Login has just accepted', async () => {
  await chaos.rules.add({ on: 'C_Sign', fail: 'CKR_PIN_INCORRECT', times: 1 })
  expect(await rejection(sign())).toMatchObject({ rvName: 'CKR_PIN_INCORRECT', fn: 'C_Sign' })
  expect(client.health().state).not.toBe('locked')
  expect(await outcome(sign())).toBe('signed')
})

test('an operation for which the PIN could not be sent shows in no other call: SoftHSM ends it only with its session', async () => {
  await client.close()
  client = await open({ pool: { minSize: 0, maxSize: 1 }, retry: { maxAttempts: 1 } })
  await sign()
  await chaos.rules.add({ on: 'C_Login', fail: 'CKR_FUNCTION_FAILED', times: 1 })
  expect(await rejection(sign())).toMatchObject({ rvName: 'CKR_FUNCTION_FAILED', fn: 'C_Login' })
  await sign()
  expect(await chaos.misuse()).toMatchObject([{ kind: 'closed-active', function: 'C_CloseSession', count: 1 }])
  expect(client.stats()).toMatchObject({ created: 2, destroyed: 1 })
})

describe('before each use the token is asked how its PIN is', () => {
  test('where it is locked, it is not sent', async () => {
    await chaos.rules.add({ tokenInfo: { set: ['CKF_USER_PIN_LOCKED'] } })
    expect(await outcome(sign())).toBe('CREDENTIALS_REJECTED')
    expect(client.health().state).toBe('locked')
    expect(await logins()).toBe(0)
  })

  test('where one try is left, one that was accepted is sent, and another is not', async () => {
    await chaos.rules.add({ tokenInfo: { set: ['CKF_USER_PIN_FINAL_TRY'] } })
    expect(await outcome(sign())).toBe('signed')
    expect(client.health().pinFlags).toEqual(['CKF_USER_PIN_FINAL_TRY'])
    await client.setCredentials({ pin: { value: 'another' } })
    expect(await outcome(sign())).toBe('CREDENTIALS_REJECTED')
    expect(await logins()).toBe(1)
  })

  test('where it has a PIN pad of its own, no PIN is sent, but one is asked for there', async () => {
    await chaos.rules.add({ tokenInfo: { set: ['CKF_PROTECTED_AUTHENTICATION_PATH'] } })
    // SoftHSM has none.
    expect(await rejection(sign())).toMatchObject({ rvName: 'CKR_ARGUMENTS_BAD', fn: 'C_Login' })
    expect(await logins()).toBe(1)
  })

  test('where it does not say, nothing is sent, and the next use takes its turn', async () => {
    await chaos.rules.add({ on: 'C_GetTokenInfo', hang: true, times: 1 })
    expect(await outcome(sign({ timeoutMs: 1_000 }))).toBe('OPERATION_TIMEOUT')
    expect(await logins()).toBe(0)
    expect(await outcome(sign())).toBe('signed')
  })
})
