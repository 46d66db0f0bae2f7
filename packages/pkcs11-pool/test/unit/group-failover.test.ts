import { expect, test } from 'vitest'
import { type ErrorCategory, Pkcs11PoolError } from '../../src/errors.js'
import { Failover } from '../../src/group/failover.js'
import type { OperationOptions } from '../../src/session/call-context.js'
import { FakeClock, settled } from '../support/fake-clock.js'
import { rejection } from '../support/rejection.js'

const WAIT_MS = 100

interface Call {
  options: OperationOptions
  hasNext: () => boolean
  resolve: (value: string) => void
  reject: (reason: unknown) => void
}

class Fake {
  usable = true
  load = 0
  readonly calls: Call[] = []

  constructor(readonly name: string) {}

  get last(): Call {
    return this.calls.at(-1)!
  }
}

function world(count = 2) {
  const members = Array.from({ length: count }, (_, at) => new Fake('abcdef'[at] as string))
  const clock = new FakeClock()
  const told: string[] = []
  const hooks = {
    refusal: () => new Pkcs11PoolError('GROUP_UNAVAILABLE', 'none'),
    failover: (member: Fake, error: Pkcs11PoolError | undefined, next: Fake) =>
      told.push(`${member.name} ${error === undefined ? 'slow' : error.code} ${next.name}`),
  }
  const failover = new Failover(members, WAIT_MS, hooks, clock)
  const call = ({ calls }: Fake, options: OperationOptions, hasNext: () => boolean) =>
    new Promise<string>((resolve, reject) => calls.push({ options, hasNext, resolve, reject }))
  const use = (options: OperationOptions = {}, late?: (value: string) => void) =>
    failover.run(options, call, late === undefined ? {} : { late })
  return { members: members as [Fake, Fake, ...Fake[]], clock, told, use }
}

function failed(category: ErrorCategory): Pkcs11PoolError {
  return new Pkcs11PoolError('CRYPTOKI', category, { category })
}

/** The one asked first of two, and the other. */
function inOrder([one, other]: readonly Fake[]): [Fake, Fake] {
  return one!.calls.length > 0 ? [one!, other!] : [other!, one!]
}

test.each(['token', 'module', 'session', 'login', 'overload', 'credentials', 'pool'] as const)(
  'a failure of category %s is made good on the other member, once',
  async (category) => {
    const { members, use, told } = world()
    const using = use()
    const [first, second] = inOrder(members)
    first.last.reject(failed(category))
    await settled()
    second.last.resolve('done')
    expect(await using).toEqual({ value: 'done', member: second, without: [] })
    expect(told).toEqual([`${first.name} CRYPTOKI ${second.name}`])
    const again = rejection(use())
    const [next, last] = [members[0], members[1]].toSorted((one, other) => other.calls.length - one.calls.length)
    next!.last.reject(failed(category))
    await settled()
    last!.last.reject(failed(category))
    await again
    expect(members.map(({ calls }) => calls.length)).toEqual([2, 2])
  },
)

test('who is asked is told whether another could be asked instead, as it is when that matters', async () => {
  const { members, use } = world()
  const using = use()
  const [first, second] = inOrder(members)
  expect(first.last.hasNext()).toBe(true)
  second.usable = false
  expect(first.last.hasNext()).toBe(false)
  second.usable = true
  first.last.reject(failed('token'))
  await settled()
  expect(second.last.hasNext()).toBe(false)
  second.last.resolve('done')
  await using
})

test('a caller’s mistake is final, and so is what is no error of the library', async () => {
  for (const reason of [failed('caller'), new Error('a bug'), undefined]) {
    const { members, use } = world()
    const using = rejection(use())
    const [first, second] = inOrder(members)
    first.last.reject(reason)
    expect(await using).toBe(reason)
    expect(second.calls).toHaveLength(0)
  }
})

test('no answer for a while has the next asked beside it; the first answer counts, and the other is called off', async () => {
  const { members, clock, use, told } = world()
  const using = use()
  const [first, second] = inOrder(members)
  await clock.advance(WAIT_MS - 1)
  expect(second.calls).toHaveLength(0)
  await clock.advance(1)
  expect(second.calls).toHaveLength(1)
  expect(told).toEqual([`${first.name} slow ${second.name}`])
  second.last.resolve('second')
  expect(await using).toMatchObject({ value: 'second' })
  expect(first.last.options.signal?.aborted).toBe(true)
  expect(second.last.options.signal?.aborted).toBe(false)
  expect(clock.armed).toBe(0)
})

test('the slow one may still be first, and what the other answers later is given to who cares', async () => {
  const { members, clock, use } = world()
  const late: string[] = []
  const using = use({}, (value) => late.push(value))
  const [first, second] = inOrder(members)
  await clock.advance(WAIT_MS)
  first.last.resolve('first')
  second.last.resolve('second')
  expect(await using).toMatchObject({ value: 'first' })
  await settled()
  expect(late).toEqual(['second'])
})

test('nobody is asked beside another who has no room, until it has', async () => {
  const { members, clock, use } = world()
  const using = use()
  const [first, second] = inOrder(members)
  second.load = 1
  await clock.advance(5 * WAIT_MS)
  expect(second.calls).toHaveLength(0)
  second.load = 0.9
  await clock.advance(WAIT_MS)
  expect(second.calls).toHaveLength(1)
  first.last.resolve('first')
  await using
})

test('who fails is followed by one who has no room, rather than by nobody', async () => {
  const { members, use } = world()
  const using = use()
  const [first, second] = inOrder(members)
  second.load = 7
  first.last.reject(failed('token'))
  await settled()
  second.last.resolve('late, but there')
  expect(await using).toMatchObject({ value: 'late, but there' })
})

test('when one fails beside another that is slow, the slow one is waited for', async () => {
  const { members, clock, use } = world()
  const using = use()
  const [first, second] = inOrder(members)
  await clock.advance(WAIT_MS)
  second.last.reject(failed('token'))
  await settled()
  first.last.resolve('slow')
  expect(await using).toMatchObject({ value: 'slow' })
})

test('of a caller’s time a member gets its share before another is asked, and each what is left as its bound', async () => {
  const { members, clock, use } = world()
  const using = use({ timeoutMs: 50 })
  const [first, second] = inOrder(members)
  expect(first.last.options.timeoutMs).toBeLessThanOrEqual(50)
  expect(first.last.options.timeoutMs).toBeGreaterThan(0)
  await clock.advance(25)
  expect(second.calls).toHaveLength(1)
  second.last.resolve('in time')
  await using
})

test('with no time left nobody else is asked', async () => {
  const { members, use } = world()
  const using = rejection(use({ timeoutMs: 0 }))
  const [first, second] = inOrder(members)
  first.last.reject(new Pkcs11PoolError('OPERATION_TIMEOUT', 'late'))
  expect(await using).toMatchObject({ code: 'OPERATION_TIMEOUT' })
  expect(second.calls).toHaveLength(0)
})

test('KEY_NOT_FOUND of all is KEY_NOT_FOUND; of one beside one that failed, what failed', async () => {
  const notFound = new Pkcs11PoolError('KEY_NOT_FOUND', 'not here')
  for (const [one, other] of [
    [notFound, notFound],
    [notFound, failed('token')],
    [failed('token'), notFound],
  ] as const) {
    const { members, use } = world()
    const using = rejection(use())
    const [first, second] = inOrder(members)
    first.last.reject(one)
    await settled()
    second.last.reject(other)
    expect(await using).toBe(one === notFound ? other : one)
  }
})

test('who has no such key is named beside the answer of who has', async () => {
  const { members, use } = world()
  const using = use()
  const [first, second] = inOrder(members)
  first.last.reject(new Pkcs11PoolError('KEY_NOT_FOUND', 'not here'))
  await settled()
  second.last.resolve('here')
  expect(await using).toEqual({ value: 'here', member: second, without: [first] })
})

test('an abort rejects with its reason at once, and calls all off', async () => {
  const { members, clock, use } = world()
  const gone = new AbortController()
  const using = rejection(use({ signal: gone.signal }))
  await clock.advance(WAIT_MS)
  gone.abort('not needed')
  expect(await using).toBe('not needed')
  expect(members.map(({ last }) => last.options.signal?.aborted)).toEqual([true, true])
  members[0].last.resolve('too late')
  members[1].last.reject(failed('token'))
  await settled()
  expect(members.map(({ calls }) => calls.length)).toEqual([1, 1])
  expect(await rejection(use({ signal: gone.signal }))).toBe('not needed')
})

test('who cannot be used is not asked, and where none can, that is the error', async () => {
  const { members, use } = world(3)
  members[0].usable = false
  members[1].usable = false
  for (let time = 0; time < 3; time += 1) {
    const using = use()
    members[2]!.last.resolve('done')
    await using
  }
  expect(members.map(({ calls }) => calls.length)).toEqual([0, 0, 3])
  members[2]!.usable = false
  expect(await rejection(use())).toMatchObject({ code: 'GROUP_UNAVAILABLE' })
})

test('the least loaded is asked; those loaded alike take turns', async () => {
  const { members, use } = world(3)
  members[0].load = 0.5
  for (let time = 0; time < 6; time += 1) void use()
  expect(members.map(({ calls }) => calls.length)).toEqual([0, 3, 3])
})

test('a group of one sets no timer', async () => {
  const { members, clock, use } = world(1)
  const using = use()
  expect(clock.armed).toBe(0)
  members[0].last.resolve('done')
  await using
})
