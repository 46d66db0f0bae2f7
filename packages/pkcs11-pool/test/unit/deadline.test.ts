import { getEventListeners } from 'node:events'
import { performance } from 'node:perf_hooks'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Pkcs11PoolError } from '../../src/index.js'
import { bounded, Deadline, nothingSent } from '../../src/session/deadline.js'
import { rejection } from '../support/rejection.js'

let now = 0
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  vi.spyOn(performance, 'now').mockImplementation(() => now)
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

async function pass(ms: number): Promise<void> {
  now += ms
  await vi.advanceTimersByTimeAsync(ms)
}

const never = () => new Promise<never>(() => undefined)
const late = nothingSent('the test')

test('a deadline leaves of another bound what it has itself, and nothing once it has passed', async () => {
  const deadline = new Deadline(100)
  expect(deadline.within(30)).toBe(30)
  await pass(80)
  expect(deadline.within(30)).toBe(20)
  await pass(80)
  expect(deadline.within(30)).toBe(0)
  expect(new Deadline(Number.POSITIVE_INFINITY).within(30)).toBe(30)
  expect(new Deadline(0).within(30)).toBe(0)
})

test.each([-1, Number.NaN, 2 ** 31, '5'])('a deadline of %s is refused', (timeoutMs) => {
  expect(() => new Deadline(timeoutMs as number)).toThrow(Pkcs11PoolError)
})

test('at the deadline it rejects, and not before', async () => {
  let settled = false
  const outcome = rejection(bounded(never(), undefined, new Deadline(100), late)).finally(() => (settled = true))
  await pass(99)
  expect(settled).toBe(false)
  await pass(1)
  expect(await outcome).toMatchObject({
    code: 'OPERATION_TIMEOUT',
    category: 'overload',
    message: expect.stringContaining('timeoutMs 100'),
  })
})

test('at an abort it rejects with the reason, also at one that was before', async () => {
  const reason = new Error('not needed any more')
  const abort = new AbortController()
  const outcome = rejection(bounded(never(), abort.signal, undefined, late))
  abort.abort(reason)
  expect(await outcome).toBe(reason)
  expect(await rejection(bounded(never(), abort.signal, undefined, late))).toBe(reason)
})

test('whatever settles first, no timer and no listener is left, and a later rejection is nobody’s', async () => {
  const unhandled: unknown[] = []
  const listener = (reason: unknown): void => void unhandled.push(reason)
  process.on('unhandledRejection', listener)
  const abort = new AbortController()
  expect(await bounded(Promise.resolve(1), abort.signal, new Deadline(100), late)).toBe(1)
  expect(await rejection(bounded(Promise.reject(new Error('x')), abort.signal, new Deadline(100), late))).toBeDefined()
  let fail: (reason: Error) => void = () => undefined
  const failing = new Promise<never>((_, reject) => (fail = reject))
  const outcome = rejection(bounded(failing, abort.signal, new Deadline(100), late))
  await pass(100)
  await outcome
  fail(new Error('too late'))
  expect([vi.getTimerCount(), getEventListeners(abort.signal, 'abort').length]).toEqual([0, 0])
  await new Promise(setImmediate)
  process.off('unhandledRejection', listener)
  expect(unhandled).toEqual([])
})
