import { expect, test } from 'vitest'
import { createGroup, type GroupEvents, type GroupOptions } from '../../src/index.js'
import { rejection } from '../support/rejection.js'
import { until, useTokenGroup } from '../support/token-group.js'

const { tokens, open, member } = useTokenGroup(['a', 'b'])
const [a, b] = tokens.map(({ module }) => module) as [(typeof tokens)[0]['module'], (typeof tokens)[0]['module']]
const quick = { breaker: { initialBackoffMs: 1, maxBackoffMs: 3 } }

test('a member that is not there yet is connected in the background, and is then used', async () => {
  b.fail('C_GetSlotList', 'CKR_DEVICE_ERROR')
  const before = b.calls('C_Login')
  const group = await open({}, quick)
  const events: string[] = []
  group.on('connected', ({ member }) => events.push(`connected ${member}`))
  group.on('connectFailed', ({ member, retryAt }) => events.push(`failed ${member} ${retryAt instanceof Date}`))
  expect(group.health()).toMatchObject({ state: 'degraded', members: [{ usable: true }, { usable: false }] })
  expect(group.health().members[1]).toMatchObject({ reason: expect.any(String), client: undefined })
  expect(() => group.member('b')).toThrow(/CKR_DEVICE_ERROR/)
  expect(await group.generateRandom(4)).toHaveLength(4)
  await until(() => events.filter((event) => event === 'failed b true').length > 3)
  expect(b.calls('C_Login')).toBe(before)
  b.clear()
  await until(() => group.health().members[1]?.usable === true)
  expect(events.at(-1)).toBe('connected b')
  const calls = b.calls('C_GenerateRandom')
  for (let time = 0; time < 4; time += 1) await group.generateRandom(4)
  expect(b.calls('C_GenerateRandom') - calls).toBe(2)
  expect(group.health().state).toBe('ok')
})

test('a PIN that was wiped by the caller is there for later tries', async () => {
  const pins = tokens.map(({ token }) => Buffer.from(token.pin))
  b.fail('C_GetSlotList', 'CKR_DEVICE_ERROR', { times: 2 })
  const opening = open({ members: ['a', 'b'].map((name, at) => member(name, { pin: { value: pins[at]! }, ...quick })) })
  for (const pin of pins) pin.fill(0)
  const group = await opening
  await until(() => group.health().members[1]?.usable === true)
})

test('a wrong PIN of one member is sent once, and the others serve', async () => {
  const wrong = { pin: { value: 'not the PIN' }, ...quick }
  const before = b.calls('C_Login')
  const group = await open({ members: [member('a'), member('b', wrong)] })
  for (let time = 0; time < 10; time += 1) expect(await group.generateRandom(4)).toHaveLength(4)
  expect(group.health()).toMatchObject({
    state: 'degraded',
    members: [{ state: 'ok' }, { state: 'locked', usable: false, reason: expect.not.stringContaining('not the PIN') }],
  })
  expect(b.calls('C_Login') - before).toBe(1)
  const { pinFile } = tokens[1]!.token
  await group.member('b').setCredentials({ pin: { file: pinFile } })
  expect(group.health().members[1]).toMatchObject({ usable: true })
})

test('a member whose login fails otherwise is left to its breaker, and comes back', async () => {
  b.fail('C_Login', 'CKR_DEVICE_ERROR', { times: 2 })
  const group = await open({}, quick)
  expect(await group.generateRandom(4)).toHaveLength(4)
  await until(() => group.health().members[1]?.usable === true)
})

test('a member that hangs does not hold up a group that works', async () => {
  b.hang('C_GetSlotList')
  const group = await open({ nextMemberAfterMs: 1 }, { pool: { createTimeoutMs: 60_000 } })
  expect(await group.generateRandom(4)).toHaveLength(4)
  b.release()
  await until(() => group.health().members[1]?.usable === true)
})

test('with fewer members than are needed there is no group: what was opened is closed, and the error says of each why', async () => {
  a.fail('C_GetSlotList', 'CKR_DEVICE_ERROR')
  for (const minMembers of [2, undefined]) {
    if (minMembers === undefined) b.fail('C_Login', 'CKR_DEVICE_ERROR')
    const options: GroupOptions = { members: [member('a'), member('b')] }
    const error = await rejection(createGroup({ ...options, minMembers }))
    expect(error).toMatchObject({ code: 'GROUP_UNAVAILABLE', message: expect.stringContaining('a: ') })
    await until(() => b.openSessions() === 0)
  }
})

test('a member that is found after the group was closed is closed as well', async () => {
  b.hang('C_GetSlotList')
  const group = await open({ nextMemberAfterMs: 1 })
  await group.close()
  b.release()
  await until(() => b.running() === 0 && b.openSessions() === 0)
  expect(() => group.member('b')).toThrow(/is being looked for/)
})

test('a lazy group logs in when it is first used', async () => {
  const before = a.calls('C_Login') + b.calls('C_Login')
  const group = await open({}, { connect: 'lazy' })
  expect(a.calls('C_Login') + b.calls('C_Login')).toBe(before)
  await group.generateRandom(4)
  expect(a.calls('C_Login') + b.calls('C_Login')).toBe(before + 1)
})

test.each([
  ['no members', { members: [] }, /members is .*; expected an array/],
  ['a name twice', { members: [{ name: 'x' }, { name: 'x' }] }, /a name for each member/],
  ['a token twice', { members: [{ name: 'x' }, { name: 'y' }] }, /another token for each member/],
  [
    'more needed than there are',
    { members: [{}], minMembers: 2 },
    /minMembers is 2; expected a whole number from 1 to 1/,
  ],
  ['no wait at all', { members: [{}], nextMemberAfterMs: 0 }, /nextMemberAfterMs is 0/],
  ['comparing all the time', { members: [{}], consistencyIntervalMs: 0 }, /consistencyIntervalMs is 0/],
  ['a name that is not known', { members: [{}], minMember: 1 }, /unknown option "minMember".*minMembers/],
  ['an option of a member that is not known', { members: [{ pinn: 1 }] }, /unknown option "pinn"/],
])('options are checked before anything is connected: %s', async (_, given, message) => {
  const calls = a.calls('C_GetSlotList')
  const members = given.members.map((each) => ({ ...member('a'), ...each }))
  const error = await rejection(createGroup({ ...given, members }))
  expect(error).toMatchObject({ code: 'INVALID_OPTION', message: expect.stringMatching(message) })
  expect(a.calls('C_GetSlotList')).toBe(calls)
})

test('a listener that throws harms nobody; an event that there is not is refused', async () => {
  const group = await open()
  expect(() => group.on('nothing' as keyof GroupEvents, () => undefined)).toThrow(/there is no event "nothing"/)
  let heard = 0
  const listener = () => (heard += 1)
  group.on('acquired', listener)
  await group.generateRandom(4)
  group.off('acquired', listener)
  await group.generateRandom(4)
  expect(heard).toBe(1)
})
