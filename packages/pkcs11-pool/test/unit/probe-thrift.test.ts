import { expect, test } from 'vitest'
import { Pkcs11PoolError } from '../../src/index.js'
import { ProbeThrift } from '../../src/resilience/probe-thrift.js'
import { FakeClock } from '../support/fake-clock.js'

const hang = new Pkcs11PoolError('OPERATION_TIMEOUT', 'it hangs')

test('while calls hang and none returns, the next probe is sent after the longer while only', async () => {
  const clock = new FakeClock()
  const thrift = new ProbeThrift(clock, 1_000)
  thrift.check(5, 5)
  thrift.failed(hang, 6)
  expect(() => thrift.check(6, 5)).toThrow(hang)
  expect(() => thrift.check(7, 5)).toThrow(hang)
  await clock.advance(999)
  expect(() => thrift.check(6, 5)).toThrow(hang)
  await clock.advance(1)
  expect(() => thrift.check(6, 5)).not.toThrow()
})

test('once a call has returned, or a probe was answered, the next one is sent', () => {
  const thrift = new ProbeThrift(new FakeClock(), 1_000)
  thrift.failed(hang, 6)
  expect(() => thrift.check(5, 5)).not.toThrow()
  expect(() => thrift.check(6, 5)).toThrow(hang)
  thrift.succeeded()
  expect(() => thrift.check(6, 5)).not.toThrow()
  thrift.failed(new Pkcs11PoolError('TOKEN_NOT_FOUND', 'none'), 6)
  expect(() => thrift.check(6, 5)).not.toThrow()
})

test('while fewer calls hang than may run at once, the next one is sent at its time', () => {
  const thrift = new ProbeThrift(new FakeClock(), 1_000)
  thrift.failed(hang, 6)
  expect(() => thrift.check(6, 7)).not.toThrow()
  expect(() => thrift.check(7, 7)).toThrow(hang)
})
