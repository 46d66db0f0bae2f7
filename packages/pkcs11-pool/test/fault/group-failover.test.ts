import { createCipheriv, randomBytes } from 'node:crypto'
import { beforeAll, expect, test } from 'vitest'
import type { ClientGroup, GroupEvents } from '../../src/index.js'
import { rejection } from '../support/rejection.js'
import { until, useTokenGroup } from '../support/token-group.js'
import { aesKey } from '../support/wrapped-token.js'

const { tokens, open, plant, member } = useTokenGroup(['a', 'b'])
const [a, b] = tokens.map(({ module }) => module) as [(typeof tokens)[0]['module'], (typeof tokens)[0]['module']]

const value = randomBytes(32)
const iv = randomBytes(16)
const plain = randomBytes(40)
const cipher = createCipheriv('aes-256-cbc', value, iv)
const expected = Buffer.concat([cipher.update(plain), cipher.final()])
const key = { label: 'known' }
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv } as const
const encrypt = (group: ClientGroup, options = {}) => group.encrypt(key, cbc, plain, options)
const quick = { failureThreshold: 2, initialBackoffMs: 2, maxBackoffMs: 5 }
/** One that stays open until the test ends. */
const patient = { failureThreshold: 2, initialBackoffMs: 600_000, maxBackoffMs: 600_000 }

beforeAll(async () => {
  for (const name of ['a', 'b']) await plant(name, aesKey('known', 1, value))
  await plant('b', aesKey('only on b', 2, value))
})

test('uses are spread over the members, one after the other and many at once', async () => {
  const group = await open()
  const before = [a.calls('C_Encrypt'), b.calls('C_Encrypt')] as const
  for (let time = 0; time < 10; time += 1) expect(await encrypt(group)).toEqual(expected)
  expect([a.calls('C_Encrypt') - before[0], b.calls('C_Encrypt') - before[1]]).toEqual([5, 5])
  expect(await Promise.all(Array.from({ length: 20 }, () => encrypt(group)))).toEqual(Array(20).fill(expected))
  expect([a.calls('C_Encrypt') - before[0], b.calls('C_Encrypt') - before[1]]).toEqual([15, 15])
})

test('a member that is busy is left out while another is not', async () => {
  const group = await open({}, { pool: { maxSize: 2 } })
  a.hang('C_GenerateRandom')
  b.hang('C_GenerateRandom')
  const held = [group.generateRandom(4), group.generateRandom(4)]
  await until(() => a.hanging() === 1 && b.hanging() === 1)
  b.release()
  await until(() => b.hanging() === 0)
  const before = [a.calls('C_Encrypt'), b.calls('C_Encrypt')] as const
  for (let time = 0; time < 6; time += 1) await encrypt(group)
  expect([a.calls('C_Encrypt') - before[0], b.calls('C_Encrypt') - before[1]]).toEqual([0, 6])
  a.release()
  await Promise.all(held)
})

test('a member whose token dies under load is no caller’s concern, and is used again when it is back', async () => {
  const group = await open({}, { breaker: quick })
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
  await until(() => answered > 50)
  for (const name of ['C_EncryptInit', 'C_GetSessionInfo', 'C_OpenSession', 'C_FindObjectsInit'] as const) {
    a.fail(name, 'CKR_DEVICE_REMOVED')
  }
  await until(() => group.health().members[0]?.usable === false)
  const then = answered
  await until(() => answered > then + 50)
  expect(group.health().state).toBe('degraded')
  expect(events[0]).toMatchObject({ member: 'a', next: 'b' })
  a.clear()
  const calls = a.calls('C_Encrypt')
  await until(() => a.calls('C_Encrypt') > calls + 20)
  over.abort()
  await Promise.all(load)
  expect(group.health().state).toBe('ok')
  expect(group.stats().failovers).toBe(events.length)
})

test('what a caller did wrong is not tried twice', async () => {
  const group = await open()
  const before = [a.calls('C_EncryptInit'), b.calls('C_EncryptInit')] as const
  const short = { mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.alloc(3) } as const
  expect(await rejection(group.encrypt(key, short, plain))).toMatchObject({ category: 'caller' })
  const calls = a.calls('C_EncryptInit') - before[0] + b.calls('C_EncryptInit') - before[1]
  expect(calls).toBeLessThanOrEqual(1)
  a.fail('C_Encrypt', 'CKR_DATA_LEN_RANGE')
  b.fail('C_Encrypt', 'CKR_DATA_LEN_RANGE')
  expect(await rejection(encrypt(group))).toMatchObject({ rvName: 'CKR_DATA_LEN_RANGE' })
  expect(a.calls('C_EncryptInit') - before[0] + b.calls('C_EncryptInit') - before[1]).toBe(calls + 1)
  expect(group.stats().failovers).toBe(0)
})

test('a member that hangs costs the time of one attempt, not the caller’s', async () => {
  const group = await open({ nextMemberAfterMs: 20, minMembers: 2 })
  await Promise.all(Array.from({ length: 8 }, () => encrypt(group)))
  a.hang('C_Encrypt')
  for (let time = 0; time < 4; time += 1) expect(await encrypt(group, { timeoutMs: 25_000 })).toEqual(expected)
  expect(a.hanging()).toBeGreaterThan(0)
  a.release()
})

test('an abort ends all at once, with the signal’s reason', async () => {
  const group = await open({ nextMemberAfterMs: 1, minMembers: 2 })
  await Promise.all([encrypt(group), encrypt(group)])
  a.hang('C_Encrypt')
  b.hang('C_Encrypt')
  const gone = new AbortController()
  const ended = rejection(encrypt(group, { signal: gone.signal }))
  await until(() => a.hanging() + b.hanging() === 2)
  gone.abort(new Error('not needed any more'))
  expect(await ended).toMatchObject({ message: 'not needed any more' })
  a.release()
  b.release()
  expect(await rejection(encrypt(group, { signal: AbortSignal.abort(new Error('never')) }))).toMatchObject({
    message: 'never',
  })
})

test('when no member can be used, the error says of each why, and when the next is tried', async () => {
  const group = await open({}, { breaker: patient })
  for (const module of [a, b]) module.fail('C_GenerateRandom', 'CKR_DEVICE_REMOVED', { times: 1 })
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
  const group = await open({}, { breaker: patient })
  const before = [a.calls('C_FindObjectsInit'), b.calls('C_FindObjectsInit')] as const
  expect(await rejection(group.encrypt({ label: 'nowhere' }, cbc, plain))).toMatchObject({ code: 'KEY_NOT_FOUND' })
  expect([a.calls('C_FindObjectsInit') - before[0], b.calls('C_FindObjectsInit') - before[1]]).toEqual([1, 1])
  // One that was asked and did not say so is what the caller has to hear of.
  b.fail('C_FindObjectsInit', 'CKR_DEVICE_ERROR')
  for (let time = 0; time < 2; time += 1) {
    expect(await rejection(group.encrypt({ label: `nor ${time}` }, cbc, plain))).toMatchObject({
      rvName: 'CKR_DEVICE_ERROR',
    })
  }
  expect(await rejection(group.encrypt({ label: 'at all' }, cbc, plain))).toMatchObject({
    code: 'KEY_NOT_FOUND',
    message: expect.stringContaining('not asked, because they cannot be used now: b'),
  })
})

test('of a batch, what failed on one member’s side is made on the other, and nothing else', async () => {
  const group = await open()
  const digest = { op: 'digest', mechanism: 'CKM_SHA256', data: plain } as const
  const item = { op: 'encrypt', key, mechanism: cbc, data: plain } as const
  const elsewhere = { ...item, key: { label: 'only on b' } } as const
  a.fail('C_Encrypt', 'CKR_DEVICE_ERROR')
  for (let time = 0; time < 2; time += 1) {
    const before = a.calls('C_DigestInit') + b.calls('C_DigestInit')
    const results = await group.batch([digest, item, elsewhere, { ...item, key: { label: 'nowhere' } }])
    expect(results.map((result) => (result.status === 'fulfilled' ? result.value : result.reason))).toEqual([
      expect.any(Buffer),
      expected,
      expected,
      expect.objectContaining({ code: 'KEY_NOT_FOUND' }),
    ])
    expect(a.calls('C_DigestInit') + b.calls('C_DigestInit') - before).toBe(1)
  }
  expect(group.health().divergences).toMatchObject([{ on: ['b'], missingOn: ['a'] }])
})

test('withSession stays on one member; a session that cannot be opened there is opened on the other', async () => {
  const group = await open({}, { pool: { minSize: 0 } })
  a.fail('C_OpenSession', 'CKR_DEVICE_ERROR')
  for (let time = 0; time < 2; time += 1) {
    const answer = await group.withSession(async (session) => {
      const found = await session.findKey({ label: 'only on b' })
      return session.encrypt(found, cbc, plain)
    })
    expect(answer).toEqual(expected)
  }
  a.clear()
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
  a.hang('C_OpenSession')
  b.hang('C_OpenSession')
  const acquiring = group.acquire()
  await until(() => a.hanging() + b.hanging() === 2)
  a.release()
  b.release()
  const session = await acquiring
  await until(() => group.stats().currentSize === 2)
  expect(group.stats().inUse).toBe(1)
  session.release()
  expect(group.stats().inUse).toBe(0)
})

test('close closes all members, once, and what comes after is refused', async () => {
  const group = await open()
  await encrypt(group)
  expect(await group.close()).toEqual({ abandoned: 0 })
  expect(await group.close()).toEqual({ abandoned: 0 })
  expect([a.openSessions(), b.openSessions()]).toEqual([0, 0])
  for (const use of [encrypt(group), group.keys.find(), group.keys.destroy(key), group.acquire()]) {
    expect(await rejection(use)).toMatchObject({ code: 'POOL_CLOSED' })
  }
})

test('a caller may wipe its inputs at once, though they are sent to a second member', async () => {
  const group = await open({}, { breaker: patient })
  a.fail('C_Encrypt', 'CKR_DEVICE_ERROR')
  b.fail('C_Encrypt', 'CKR_DEVICE_ERROR', { times: 1 })
  for (let time = 0; time < 3; time += 1) {
    const data = Buffer.from(plain)
    const reference = { id: Buffer.from([0, 0, 0, 1]) }
    const own = { mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.from(iv) } as const
    const answer = group.encrypt(reference, own, data)
    data.fill(0)
    reference.id.fill(0)
    own.iv.fill(0)
    if (time > 0) expect(await answer).toEqual(expected)
    else await answer.catch(() => undefined)
  }
})

test('members are told apart in figures and events', async () => {
  const group = await open({ members: [member('a', { name: 'east' }), member('b', { name: 'west' })] })
  const logins: string[] = []
  group.on('acquired', ({ member }) => logins.push(member))
  await encrypt(group)
  await encrypt(group)
  expect(logins.toSorted()).toEqual(['east', 'west'])
  const text = group.metrics()
  expect(text).toMatch(
    /^pkcs11_pool_in_use\{member="east",token="a"\} 0\npkcs11_pool_in_use\{member="west",token="b"\} 0$/m,
  )
  expect(text).toContain('pkcs11_pool_group_usable_members 2\n')
  expect(group.member('east').stats().maxSize).toBe(10)
  expect(() => group.member('north')).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
})
