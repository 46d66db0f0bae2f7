import { createCipheriv, randomBytes } from 'node:crypto'
import { beforeAll, expect, test } from 'vitest'
import type { ClientGroup, GroupEvents } from '../../src/index.js'
import { rejection } from '../support/rejection.js'
import { until, useTokenGroup } from '../support/token-group.js'
import { aesKey } from '../support/wrapped-token.js'

const { chaos, open, plant, member, fault, count } = useTokenGroup(['a', 'b'])

const value = randomBytes(32)
const iv = randomBytes(16)
const plain = randomBytes(40)
const cipher = createCipheriv('aes-256-cbc', value, iv)
const expected = Buffer.concat([cipher.update(plain), cipher.final()])
const key = { label: 'known' }
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv } as const
const encrypt = (group: ClientGroup, options = {}) => group.encrypt(key, cbc, plain, options)
const sum = (counts: readonly number[]) => counts.reduce((total, each) => total + each, 0)
const hanging = (wanted: number) => chaos.waitFor(({ hanging: now }) => now === wanted)
const quick = { failureThreshold: 2, initialBackoffMs: 5, maxBackoffMs: 20 }
/** One that stays open until the test ends. */
const patient = { failureThreshold: 2, initialBackoffMs: 600_000, maxBackoffMs: 600_000 }

beforeAll(async () => {
  await plant('a', aesKey('known', 1, value))
  await plant('b', aesKey('known', 1, value), aesKey('only on b', 2, value))
})

test('uses are spread over the members, one after the other and many at once', async () => {
  const group = await open()
  const encryptions = await count('C_Encrypt')
  for (let time = 0; time < 10; time += 1) expect(await encrypt(group)).toEqual(expected)
  expect(await encryptions()).toEqual([5, 5])
  expect(await Promise.all(Array.from({ length: 20 }, () => encrypt(group)))).toEqual(Array(20).fill(expected))
  expect(await encryptions()).toEqual([15, 15])
})

test('a member that is busy is left out while another is not', async () => {
  const group = await open({}, { pool: { maxSize: 2 } })
  const held = await fault('a', { on: 'C_GenerateRandom', hang: true })
  const passing = await fault('b', { on: 'C_GenerateRandom', hang: true })
  const calls = [group.generateRandom(4), group.generateRandom(4)] as const
  await hanging(2)
  await chaos.rules.remove(passing)
  await Promise.race(calls)
  const encryptions = await count('C_Encrypt')
  for (let time = 0; time < 6; time += 1) await encrypt(group)
  expect(await encryptions()).toEqual([0, 6])
  await chaos.rules.remove(held)
  await Promise.all(calls)
})

test.each([
  ['fails', () => fault('a', { on: ['C_EncryptInit', 'C_GetSessionInfo', 'C_OpenSession'], fail: 'CKR_DEVICE_ERROR' })],
  ['is taken out', () => fault('a', { removeToken: true })],
] as const)(
  'a member whose token %s under load is no caller’s concern, and is used again when it is back',
  async (_, begin) => {
    // The members share a module. Each time it is initialised again costs a call of the other member a try, of which it has two.
    const group = await open({}, { breaker: { failureThreshold: 2, initialBackoffMs: 50, maxBackoffMs: 200 } })
    const events: GroupEvents['failover'][] = []
    group.on('failover', (event) => events.push(event))
    const over = new AbortController()
    let answered = 0
    const load = Array.from({ length: 8 }, async () => {
      while (!over.signal.aborted) {
        expect(await encrypt(group, { timeoutMs: 20_000 })).toEqual(expected)
        answered += 1
      }
    })
    try {
      await until(() => answered > 50)
      const rule = await begin()
      await until(() => group.health().members[0]?.usable === false)
      const then = answered
      await until(() => answered > then + 200)
      expect(group.health().state).toBe('degraded')
      expect(events[0]).toMatchObject({ member: 'a', next: 'b' })
      await chaos.rules.remove(rule)
      await until(() => group.health().members[0]?.usable === true)
      const encryptions = await count('C_Encrypt')
      for (;;) if (((await encryptions())[0] ?? 0) > 20) break
    } finally {
      over.abort()
      await Promise.all(load)
    }
    expect(group.health().state).toBe('ok')
    expect(group.stats().failovers).toBe(events.length)
  },
)

test('a member that is back is tried by a probe, and not by a caller', async () => {
  const group = await open({}, { breaker: quick })
  const probing = await fault('a', { on: ['C_GetSessionInfo', 'C_OpenSession'], fail: 'CKR_DEVICE_ERROR' })
  const calling = await fault('a', { on: ['C_Encrypt', 'C_GenerateRandom'], fail: 'CKR_DEVICE_ERROR' })
  for (let time = 0; time < 4; time += 1) expect(await encrypt(group)).toEqual(expected)
  await until(() => group.health().members[0]?.usable === false)
  const encryptions = await count('C_Encrypt')
  const probes = await count('C_GetSessionInfo')
  await chaos.waitFor(({ rules }) => (rules.find(({ id }) => id === probing)?.matched ?? 0) > 4)
  for (let time = 0; time < 4; time += 1) await encrypt(group)
  expect(await encryptions()).toEqual([0, 4])
  expect((await probes())[1]).toBe(0)
  await chaos.rules.remove(calling)
  await chaos.rules.remove(probing)
  await until(() => group.health().members[0]?.usable === true)
  for (let time = 0; time < 4; time += 1) await encrypt(group)
  expect(await encryptions()).toEqual([2, 6])
})

test('what a caller did wrong is not tried twice', async () => {
  const group = await open()
  const begun = await count('C_EncryptInit')
  const short = { mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.alloc(3) } as const
  expect(await rejection(group.encrypt(key, short, plain))).toMatchObject({ category: 'caller' })
  expect(sum(await begun())).toBe(0)
  for (const name of ['a', 'b']) await fault(name, { on: 'C_Encrypt', fail: 'CKR_DATA_LEN_RANGE' })
  expect(await rejection(encrypt(group))).toMatchObject({ rvName: 'CKR_DATA_LEN_RANGE' })
  expect(sum(await begun())).toBe(1)
  expect(await rejection(group.encrypt(key, cbc, 'text' as never))).toMatchObject({ code: 'INVALID_ARGUMENT' })
  expect(await rejection(encrypt(group, { timeout: 1 }))).toMatchObject({ code: 'INVALID_ARGUMENT' })
  expect(sum(await begun())).toBe(1)
  expect(group.stats().failovers).toBe(0)
})

test('what failed on one member is made on the other at once, and is not made again on the first', async () => {
  const group = await open({}, { breaker: patient, retry: { initialBackoffMs: 600_000, maxBackoffMs: 600_000 } })
  const random = await count('C_GenerateRandom')
  await fault('a', { on: 'C_GenerateRandom', fail: 'CKR_DEVICE_ERROR', times: 1 })
  for (let time = 0; time < 2; time += 1) expect(await group.generateRandom(4)).toHaveLength(4)
  expect(await random()).toEqual([1, 2])
})

test('with no other left, what may pass is made again on the last member, as a client does', async () => {
  const group = await open({}, { breaker: patient, retry: { initialBackoffMs: 1, maxBackoffMs: 1 } })
  const random = await count('C_GenerateRandom')
  for (const name of ['a', 'b']) await fault(name, { on: 'C_GenerateRandom', fail: 'CKR_DEVICE_ERROR', times: 1 })
  expect(await group.generateRandom(4)).toHaveLength(4)
  expect((await random()).toSorted()).toEqual([1, 2])
  await fault('a', { on: 'C_GenerateRandom', fail: 'CKR_DEVICE_REMOVED', times: 1 })
  for (let time = 0; time < 2; time += 1) expect(await group.generateRandom(4)).toHaveLength(4)
  expect(group.health().members[0]?.usable).toBe(false)
  await fault('b', { on: 'C_GenerateRandom', fail: 'CKR_DEVICE_ERROR', times: 1 })
  expect(await group.generateRandom(4)).toHaveLength(4)
  expect(sum(group.stats().members.map(({ stats }) => stats?.retries.made ?? 0))).toBe(2)
})

test('a member that hangs costs the time of one attempt, not the caller’s', async () => {
  const group = await open({ nextMemberAfterMs: 20, minMembers: 2 })
  await Promise.all(Array.from({ length: 8 }, () => encrypt(group)))
  await fault('a', { on: 'C_Encrypt', hang: true })
  for (let time = 0; time < 4; time += 1) expect(await encrypt(group, { timeoutMs: 25_000 })).toEqual(expected)
  await chaos.waitFor(({ hanging: now }) => now > 0)
})

test('when all members hang, the deadline holds, and each was asked once', async () => {
  const group = await open({ minMembers: 2 })
  await Promise.all(Array.from({ length: 8 }, () => encrypt(group)))
  for (const name of ['a', 'b']) await fault(name, { on: 'C_Encrypt', hang: true })
  const encryptions = await count('C_Encrypt')
  expect(await rejection(encrypt(group, { timeoutMs: 200 }))).toMatchObject({ code: 'OPERATION_TIMEOUT' })
  expect(await encryptions()).toEqual([1, 1])
})

test('a signature whose making had no answer is made by the other member, and each made one at most', async () => {
  const group = await open({}, { breaker: patient })
  const pair = { CKA_LABEL: 'signing', CKA_ID: 3, CKA_TOKEN: true }
  const member = group.member('a')
  await member.keys.generatePair(
    'CKM_EC_KEY_PAIR_GEN',
    { ...pair, CKA_EC_PARAMS: Buffer.from('06082a8648ce3d030107', 'hex'), CKA_VERIFY: true },
    { ...pair, CKA_SIGN: true, CKA_EXTRACTABLE: true, CKA_SENSITIVE: false },
  )
  const [secret, parameters] = await member.withSession(async (session) => {
    const found = await session.findKey({ label: 'signing', class: 'CKO_PRIVATE_KEY' })
    const { CKA_VALUE, CKA_EC_PARAMS } = await session.getAttributes(found, ['CKA_VALUE', 'CKA_EC_PARAMS'])
    return [CKA_VALUE, CKA_EC_PARAMS]
  })
  await group.member('b').keys.import({
    ...pair,
    CKA_CLASS: 'CKO_PRIVATE_KEY',
    CKA_KEY_TYPE: 'CKK_EC',
    CKA_SIGN: true,
    CKA_EC_PARAMS: parameters,
    CKA_VALUE: secret,
  } as never)
  const signatures = await count('C_Sign')
  // The answer is lost: the token has signed, and says that it has not.
  await fault('a', { on: 'C_Sign', fail: 'CKR_DEVICE_ERROR', phase: 'after', times: 1 })
  const digest = randomBytes(32)
  for (let time = 0; time < 2; time += 1) {
    const signature = await group.sign({ label: 'signing' }, 'CKM_ECDSA', digest)
    expect(await member.verify({ label: 'signing' }, 'CKM_ECDSA', digest, signature)).toBe(true)
  }
  expect(await signatures()).toEqual([1, 2])
})

test('an abort ends all at once, with the signal’s reason', async () => {
  const group = await open({ nextMemberAfterMs: 1, minMembers: 2 })
  await Promise.all(Array.from({ length: 4 }, () => encrypt(group)))
  for (const name of ['a', 'b']) await fault(name, { on: 'C_Encrypt', hang: true })
  const gone = new AbortController()
  const ended = rejection(encrypt(group, { signal: gone.signal }))
  await hanging(2)
  gone.abort(new Error('not needed any more'))
  expect(await ended).toMatchObject({ message: 'not needed any more' })
  expect(await rejection(encrypt(group, { signal: AbortSignal.abort(new Error('never')) }))).toMatchObject({
    message: 'never',
  })
})

test('when no member can be used, the error says of each why, and when the next is tried', async () => {
  const group = await open({}, { breaker: patient })
  for (const name of ['a', 'b']) await fault(name, { on: 'C_GenerateRandom', fail: 'CKR_DEVICE_REMOVED', times: 1 })
  expect(await rejection(group.generateRandom(4))).toMatchObject({ rvName: 'CKR_DEVICE_REMOVED' })
  const error = await rejection(group.generateRandom(4))
  expect(error).toMatchObject({ code: 'BREAKER_OPEN', message: expect.stringMatching(/a: .*; b: /) })
  const waits = group.health().members.map(({ retryAt }) => retryAt?.getTime() ?? 0)
  expect((error as { retryAt: Date }).retryAt.getTime()).toBe(Math.min(...waits))
  expect(group.health().state).toBe('down')
})

test('a key that one member has not is used on the other, and told of once', async () => {
  const group = await open()
  const told: GroupEvents['diverged'][] = []
  group.on('diverged', (event) => told.push(event))
  const only = { label: 'only on b', id: 2 }
  for (let time = 0; time < 4; time += 1) expect(await group.encrypt(only, cbc, plain)).toEqual(expected)
  expect(await group.keys.get(only)).not.toHaveProperty('handle')
  expect(told).toEqual([
    { class: undefined, label: 'only on b', id: '0x00000002', on: ['b'], missingOn: ['a'], differs: [] },
  ])
  expect(group.health()).toMatchObject({ state: 'degraded', divergences: told })
})

test('KEY_NOT_FOUND is what all say who can be asked', async () => {
  const group = await open({}, { breaker: { ...patient, failureThreshold: 3 } })
  const searches = await count('C_FindObjectsInit')
  expect(await rejection(group.encrypt({ label: 'nowhere' }, cbc, plain))).toMatchObject({ code: 'KEY_NOT_FOUND' })
  expect(await searches()).toEqual([1, 1])
  // One that was asked and did not say so is what the caller has to hear of.
  await fault('b', { on: 'C_FindObjectsInit', fail: 'CKR_DEVICE_ERROR' })
  await rejection(group.member('b').keys.find({ label: 'nor here' }))
  expect(group.health().members[1]?.usable).toBe(false)
  expect(await rejection(group.encrypt({ label: 'at all' }, cbc, plain))).toMatchObject({
    code: 'KEY_NOT_FOUND',
    message: expect.stringContaining('not asked, because they cannot be used now: b'),
  })
})

test('of one member that has no such key and one that fails, the caller hears of the failure', async () => {
  const group = await open({}, { breaker: patient, retry: { maxAttempts: 1 } })
  await fault('b', { on: 'C_FindObjectsInit', fail: 'CKR_DEVICE_ERROR', times: 1 })
  expect(await rejection(group.encrypt({ label: 'nowhere' }, cbc, plain))).toMatchObject({ rvName: 'CKR_DEVICE_ERROR' })
})

test('of a batch, what failed on one member’s side is made on the other, and nothing else', async () => {
  const group = await open()
  const digest = { op: 'digest', mechanism: 'CKM_SHA256', data: plain } as const
  const item = { op: 'encrypt', key, mechanism: cbc, data: plain } as const
  const elsewhere = { ...item, key: { label: 'only on b' } } as const
  await fault('a', { on: 'C_Encrypt', fail: 'CKR_DEVICE_ERROR' })
  const digests = await count('C_DigestInit')
  for (let time = 1; time <= 2; time += 1) {
    const results = await group.batch([digest, item, elsewhere, { ...item, key: { label: 'nowhere' } }])
    expect(results.map((result) => (result.status === 'fulfilled' ? result.value : result.reason))).toEqual([
      expect.any(Buffer),
      expected,
      expected,
      expect.objectContaining({ code: 'KEY_NOT_FOUND' }),
    ])
    expect(sum(await digests())).toBe(time)
  }
  expect(group.health().divergences).toMatchObject([{ on: ['b'], missingOn: ['a'] }])
})

test('withSession stays on one member; a session that cannot be opened there is opened on the other', async () => {
  const group = await open({}, { pool: { minSize: 0 } })
  const rule = await fault('a', { on: 'C_OpenSession', fail: 'CKR_DEVICE_ERROR' })
  for (let time = 0; time < 2; time += 1) {
    const answer = await group.withSession(async (session) => {
      const found = await session.findKey({ label: 'only on b' })
      return session.encrypt(found, cbc, plain)
    })
    expect(answer).toEqual(expected)
  }
  await chaos.rules.remove(rule)
  let calls = 0
  const mistake = rejection(
    group.withSession(() => {
      calls += 1
      throw new Error('mine')
    }),
  )
  expect(await mistake).toMatchObject({ message: 'mine' })
  expect(calls).toBe(1)
  const gone = new AbortController()
  await using session = await group.acquire({ signal: gone.signal })
  gone.abort(new Error('over'))
  expect(await rejection(session.generateRandom(4))).toMatchObject({ message: 'over' })
})

test('a session that comes after another member’s has is given back', async () => {
  const group = await open({ nextMemberAfterMs: 1, minMembers: 2 }, { pool: { minSize: 0, maxSize: 1 } })
  for (const name of ['a', 'b']) await fault(name, { on: 'C_OpenSession', hang: true })
  const acquiring = group.acquire()
  await hanging(2)
  await chaos.rules.clear()
  const session = await acquiring
  await until(() => group.stats().currentSize === 2)
  await until(() => group.stats().inUse === 1)
  session.release()
  expect(group.stats().inUse).toBe(0)
})

test('close closes all members, once, and what comes after is refused', async () => {
  const group = await open()
  await encrypt(group)
  expect(await group.close()).toEqual({ abandoned: 0 })
  expect(await group.close()).toEqual({ abandoned: 0 })
  expect((await chaos.counters()).sessions.open).toBe(0)
  for (const use of [
    encrypt(group),
    group.keys.find(),
    group.keys.destroy(key),
    group.acquire(),
    group.batch([{ op: 'encrypt', key, mechanism: cbc, data: plain }]),
    group.checkConsistency(),
  ]) {
    expect(await rejection(use)).toMatchObject({ code: 'POOL_CLOSED' })
  }
})

test('a group closes in its time while a member hangs, and says that it left something behind', async () => {
  const group = await open({ minMembers: 2 })
  await fault('a', { on: 'C_GenerateRandom', hang: true })
  const settled = Promise.allSettled([group.generateRandom(4), group.generateRandom(4)])
  await hanging(1)
  const { abandoned } = await group.close({ timeoutMs: 50 })
  expect(abandoned).toBeGreaterThan(0)
  await chaos.rules.clear()
  await settled
})

test('a caller may wipe its inputs at once, though they are sent to a second member', async () => {
  const group = await open({}, { breaker: patient })
  await fault('a', { on: 'C_Encrypt', fail: 'CKR_DEVICE_ERROR' })
  for (let time = 0; time < 4; time += 1) {
    const data = Buffer.from(plain)
    const reference = { id: Buffer.from([0, 0, 0, 1]) }
    const own = { mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.from(iv) } as const
    const answer = group.encrypt(reference, own, data)
    data.fill(0)
    reference.id.fill(0)
    own.iv.fill(0)
    expect(await answer).toEqual(expected)
  }
  expect(group.stats().failovers).toBe(2)
})

test('members are told apart in figures and events', async () => {
  const group = await open({ members: [member('a', { name: 'east' }), member('b', { name: 'west' })] })
  const acquired: string[] = []
  group.on('acquired', (event) => acquired.push(event.member))
  await encrypt(group)
  await encrypt(group)
  expect(acquired.toSorted()).toEqual(['east', 'west'])
  const text = group.metrics()
  expect(text).toMatch(
    /^pkcs11_pool_in_use\{member="east",token="a"\} 0\npkcs11_pool_in_use\{member="west",token="b"\} 0$/m,
  )
  expect(text).toContain('pkcs11_pool_group_usable_members 2\n')
  expect(group.member('east').stats().maxSize).toBe(10)
  expect(group.stats()).toMatchObject({
    maxSize: 20,
    inUse: 0,
    waiting: 0,
    members: [{ name: 'east' }, { name: 'west' }],
  })
  expect(() => group.member('north')).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
})

test('a key that signatures use up is not signed with in a group: two tokens would use the same part of it', async () => {
  const group = await open()
  const signatures = await count('C_SignInit')
  for (const mechanism of ['CKM_HSS', { mechanism: 0x4037 }] as const) {
    expect(await rejection(group.sign(key, mechanism, plain))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('uses up a part of its key'),
    })
    const digest = { op: 'digest', mechanism: 'CKM_SHA256', data: plain } as const
    expect(await group.batch([{ op: 'sign', key, mechanism, data: plain }, digest])).toMatchObject([
      { status: 'rejected', reason: { code: 'INVALID_ARGUMENT' } },
      { status: 'fulfilled' },
    ])
  }
  expect(await signatures()).toEqual([0, 0])
})
