import { expect, test } from 'vitest'
import { createGroup, type GroupEvents } from '../../src/index.js'
import { rejection } from '../support/rejection.js'
import { until, useTokenGroup } from '../support/token-group.js'

const { chaos, open, token, member, fault, count } = useTokenGroup(['a', 'b'])
const quick = { breaker: { initialBackoffMs: 1, maxBackoffMs: 3 } }
const noSessions = () => chaos.waitFor(({ sessions, inFlight }) => sessions.open === 0 && inFlight === 0)

test('a member that is not there yet is connected in the background, and is then used', async () => {
  const away = await fault('b', { removeToken: true })
  const logins = await count('C_Login')
  const group = await open({}, quick)
  const events: string[] = []
  group.on('connected', ({ member }) => events.push(`connected ${member}`))
  group.on('connectFailed', ({ member, retryAt }) => events.push(`failed ${member} ${retryAt instanceof Date}`))
  expect(group.health()).toMatchObject({ state: 'degraded', members: [{ usable: true }, { usable: false }] })
  expect(group.health().members[1]).toMatchObject({ reason: expect.any(String), client: undefined })
  expect(() => group.member('b')).toThrow(/no token has label "b"/)
  expect(await group.generateRandom(4)).toHaveLength(4)
  await until(() => events.filter((event) => event === 'failed b true').length > 3)
  expect(await logins()).toEqual([1, 0])
  await chaos.rules.remove(away)
  await until(() => group.health().members[1]?.usable === true)
  expect(events.at(-1)).toBe('connected b')
  expect(await logins()).toEqual([1, 1])
  const random = await count('C_GenerateRandom')
  for (let time = 0; time < 4; time += 1) await group.generateRandom(4)
  expect(await random()).toEqual([2, 2])
  expect(group.health().state).toBe('ok')
})

test('a PIN that was wiped by the caller is there for later tries', async () => {
  const pins = ['a', 'b'].map((name) => Buffer.from(token(name).pin))
  const away = await fault('b', { removeToken: true })
  const opening = open({ members: ['a', 'b'].map((name, at) => member(name, { pin: { value: pins[at]! }, ...quick })) })
  for (const pin of pins) pin.fill(0)
  const group = await opening
  await chaos.rules.remove(away)
  await until(() => group.health().members[1]?.usable === true)
})

test('a wrong PIN of one member is sent once, and the others serve', async () => {
  const wrong = { pin: { value: 'not the PIN' }, ...quick }
  const logins = await count('C_Login')
  const group = await open({ members: [member('a'), member('b', wrong)] })
  for (let time = 0; time < 10; time += 1) expect(await group.generateRandom(4)).toHaveLength(4)
  expect(group.health()).toMatchObject({
    state: 'degraded',
    members: [{ state: 'ok' }, { state: 'locked', usable: false, reason: expect.not.stringContaining('not the PIN') }],
  })
  expect(await logins()).toEqual([1, 1])
  expect(await rejection(group.keys.destroy({ label: 'k' }))).toMatchObject({
    code: 'GROUP_INCOMPLETE',
    message: expect.stringMatching(/ b \(/),
  })
  await group.member('b').setCredentials({ pin: { file: token('b').pinFile } })
  expect(group.health().members[1]).toMatchObject({ usable: true })
  expect(await logins()).toEqual([1, 2])
})

test('with every PIN wrong, each is sent once, and there is no group', async () => {
  const logins = await count('C_Login')
  const members = ['a', 'b'].map((name) => member(name, { pin: { value: 'nor this one' }, ...quick }))
  expect(await rejection(createGroup({ members }))).toMatchObject({
    code: 'GROUP_UNAVAILABLE',
    message: expect.stringMatching(/a: .*CKR_PIN_INCORRECT.*; b: .*CKR_PIN_INCORRECT/),
  })
  expect(await logins()).toEqual([1, 1])
})

test('a member whose login fails otherwise is left to its breaker, and comes back', async () => {
  await fault('b', { on: 'C_Login', fail: 'CKR_DEVICE_ERROR', times: 2 })
  const group = await open({}, quick)
  expect(await group.generateRandom(4)).toHaveLength(4)
  await until(() => group.health().members[1]?.usable === true)
})

test('a member that hangs does not hold up a group that works', async () => {
  const held = await fault('b', { on: 'C_OpenSession', hang: true })
  const group = await open({ nextMemberAfterMs: 1 }, { pool: { createTimeoutMs: 60_000 } })
  expect(await group.generateRandom(4)).toHaveLength(4)
  expect(group.health().members[1]).toMatchObject({ usable: false, client: undefined })
  await chaos.rules.remove(held)
  await until(() => group.health().members[1]?.usable === true)
})

test('with fewer members than are needed there is no group: what was opened is closed, and the error says of each why', async () => {
  await fault('a', { removeToken: true })
  const members = [member('a'), member('b')]
  const unavailable = { code: 'GROUP_UNAVAILABLE', message: expect.stringContaining('a: ') }
  expect(await rejection(createGroup({ members, minMembers: 2 }))).toMatchObject(unavailable)
  await noSessions()
  await fault('b', { on: 'C_Login', fail: 'CKR_DEVICE_ERROR' })
  expect(await rejection(createGroup({ members }))).toMatchObject(unavailable)
  await noSessions()
})

test('a member that is found after the group was closed is closed as well', async () => {
  const held = await fault('b', { on: 'C_OpenSession', hang: true })
  const group = await open({ nextMemberAfterMs: 1 })
  await group.close()
  await chaos.rules.remove(held)
  await noSessions()
  expect(() => group.member('b')).toThrow(/is being looked for/)
})

test('a member that loses its sessions and its login is asked again at once, and nobody hears of it', async () => {
  const group = await open({ minMembers: 2 })
  const slot = token('a').slot
  for (const lose of [chaos.dropSessions, chaos.logOut]) {
    for (let time = 0; time < 2; time += 1) await group.generateRandom(4)
    await lose({ slot })
    for (let time = 0; time < 6; time += 1) expect(await group.generateRandom(4)).toHaveLength(4)
  }
  expect(group.health().members.map(({ usable }) => usable)).toEqual([true, true])
})

test('a lazy group logs in when it is first used', async () => {
  const logins = await count('C_Login')
  const group = await open({}, { connect: 'lazy' })
  expect(await logins()).toEqual([0, 0])
  await group.generateRandom(4)
  expect((await logins()).toSorted()).toEqual([0, 1])
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
  const members = given.members.map((each) => ({ ...member('a'), ...each }))
  const error = await rejection(createGroup({ ...given, members }))
  expect(error).toMatchObject({ code: 'INVALID_OPTION', message: expect.stringMatching(message) })
  expect((await chaos.counters()).functions.C_GetSlotList?.calls ?? 0).toBe(0)
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
