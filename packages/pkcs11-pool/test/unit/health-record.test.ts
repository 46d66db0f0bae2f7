import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type ErrorCategory, type ErrorCode, Pkcs11PoolError } from '../../src/index.js'
import { HealthRecord } from '../../src/resilience/health-record.js'

const START = new Date('2030-01-01T00:00:00Z')

beforeEach(() => void vi.useFakeTimers({ now: START, toFake: ['Date'] }))
afterEach(() => void vi.useRealTimers())

const pass = (ms: number): Date => {
  vi.setSystemTime(Date.now() + ms)
  return new Date()
}
const error = (code: ErrorCode, category?: ErrorCategory, cause?: unknown): Pkcs11PoolError =>
  new Pkcs11PoolError(code, `a ${code}`, { ...(category && { category }), cause })
const hang = error('OPERATION_TIMEOUT')
const calm = (record: HealthRecord) => record.report(false, false)

describe('a state began', () => {
  test('when calls began to fail and when they succeeded again, whenever somebody asks', () => {
    const record = new HealthRecord()
    expect(calm(record)).toMatchObject({ state: 'ok', since: START, lastSuccess: undefined, lastFailure: undefined })
    const failed = pass(10)
    record.failed(hang)
    const again = pass(10)
    record.failed(hang)
    pass(10)
    expect(calm(record)).toMatchObject({ state: 'down', since: failed, lastFailure: { at: again } })
    const recovered = pass(10)
    record.succeeded()
    pass(10)
    expect(calm(record)).toMatchObject({ state: 'ok', since: recovered, lastSuccess: recovered })
    expect(calm(record).lastFailure).toEqual({ at: again, code: 'OPERATION_TIMEOUT', message: 'a OPERATION_TIMEOUT' })
  })

  test('anew when it was left and entered again without anybody asking', () => {
    const record = new HealthRecord()
    record.failed(hang)
    calm(record)
    pass(10)
    record.succeeded()
    const failed = pass(10)
    record.failed(hang)
    pass(10)
    expect(calm(record)).toMatchObject({ state: 'down', since: failed })
  })

  test('when it was first seen, of what is not seen in calls', () => {
    const record = new HealthRecord()
    const impaired = pass(10)
    expect(record.report(false, true)).toMatchObject({ state: 'degraded', since: impaired })
    pass(10)
    expect(record.report(false, true).since).toEqual(impaired)
    const locked = pass(10)
    expect(record.report(true, true)).toMatchObject({ state: 'locked', since: locked })
  })
})

test.each([
  error('KEY_NOT_FOUND'),
  error('CRYPTOKI', 'caller'),
  error('ACQUIRE_TIMEOUT'),
  error('POOL_CLOSED'),
  error('QUEUE_FULL'),
  error('OPERATION_TIMEOUT', 'overload'),
  error('CREATE_FAILED', 'overload', error('OPERATION_TIMEOUT', 'overload')),
  new Error('the caller’s own'),
  'gone',
])('%s says nothing about the token', (failure) => {
  const record = new HealthRecord()
  record.failed(failure)
  expect(calm(record)).toMatchObject({ state: 'ok', lastFailure: undefined })
})

test.each([
  error('CRYPTOKI', 'token'),
  error('CRYPTOKI', 'session'),
  error('CRYPTOKI', 'overload'),
  error('OPERATION_TIMEOUT'),
  error('TOKEN_STALLED'),
  error('CREATE_TIMEOUT'),
  error('CREATE_FAILED', 'token', error('CRYPTOKI', 'token')),
  error('CREDENTIALS_REJECTED'),
])('%s says that the token is down', (failure) => {
  const record = new HealthRecord()
  record.failed(failure)
  expect(calm(record)).toMatchObject({ state: 'down', lastFailure: { code: failure.code } })
})
