import { expect, test } from 'vitest'
import { Pkcs11PoolError } from '../../src/index.js'
import { cryptokiError } from '../../src/pkcs11/cryptoki-error.js'
import { packMechanism } from '../../src/pkcs11/mechanisms.js'
import { usesUpKey } from '../../src/pkcs11/packed-mechanism.js'
import { RETURN_VALUES } from '../../src/pkcs11/return-values.js'
import { Retries } from '../../src/resilience/retries.js'

const OPTIONS = { maxAttempts: 4, initialBackoffMs: 100, maxBackoffMs: 300, budget: 0.25 }
const LONG = 60_000
const answered = (name: keyof typeof RETURN_VALUES, fn = 'C_Encrypt') => cryptokiError(RETURN_VALUES[name].rv, fn)
const failed = answered('CKR_FUNCTION_FAILED')

test('waits double up to the longest, up to half is taken off, and the last attempt is not followed by another', () => {
  const longest = new Retries(OPTIONS, () => 0)
  expect([1, 2, 3, 4].map((attempts) => longest.next(failed, attempts, LONG))).toEqual([100, 200, 300, undefined])
  const shortest = new Retries(OPTIONS, () => 1)
  expect([1, 2, 3].map((attempts) => shortest.next(failed, attempts, LONG))).toEqual([50, 100, 150])
  expect(longest.made).toBe(3)
})

test('nothing is waited for that would end after the caller’s time', () => {
  const retries = new Retries(OPTIONS, () => 0)
  expect(retries.next(failed, 1, 100)).toBeUndefined()
  expect(retries.next(failed, 1, 101)).toBe(100)
  expect(retries).toMatchObject({ made: 1, refused: 0 })
})

test('a token that fails every call is asked ten times more, and then once for every fourth call that succeeds', () => {
  const retries = new Retries(OPTIONS)
  const again = () => retries.next(failed, 1, LONG) !== undefined
  for (let time = 0; time < 10; time += 1) expect(again()).toBe(true)
  expect(again()).toBe(false)
  for (let time = 0; time < 3; time += 1) retries.succeeded()
  expect(again()).toBe(false)
  retries.succeeded()
  expect(again()).toBe(true)
  expect(again()).toBe(false)
  for (let time = 0; time < 1_000; time += 1) retries.succeeded()
  for (let time = 0; time < 10; time += 1) expect(again()).toBe(true)
  expect(again()).toBe(false)
  expect(retries).toMatchObject({ made: 21, refused: 4 })
})

test.each([
  'CKR_FUNCTION_FAILED',
  'CKR_HOST_MEMORY',
  'CKR_DEVICE_ERROR',
  'CKR_GENERAL_ERROR',
  'CKR_OPERATION_NOT_INITIALIZED',
  'CKR_TOKEN_RESOURCE_EXCEEDED',
] as const)('%s may pass', (name) => {
  expect(new Retries(OPTIONS).next(answered(name), 1, LONG)).toBeGreaterThan(0)
})

test.each([
  'CKR_DATA_INVALID',
  'CKR_PIN_INCORRECT',
  'CKR_USER_NOT_LOGGED_IN',
  'CKR_SESSION_COUNT',
  'CKR_SESSION_CLOSED',
  'CKR_DEVICE_REMOVED',
  'CKR_CRYPTOKI_NOT_INITIALIZED',
  'CKR_LIBRARY_LOAD_FAILED',
] as const)('%s does not pass by being asked again', (name) => {
  expect(new Retries(OPTIONS).next(answered(name), 1, LONG)).toBeUndefined()
})

test('what judges data is not asked again, nor a call that was given up, nor what is not the token’s', () => {
  const retries = new Retries(OPTIONS)
  for (const error of [
    answered('CKR_GENERAL_ERROR', 'C_Decrypt'),
    answered('CKR_FUNCTION_FAILED', 'C_Verify'),
    new Pkcs11PoolError('OPERATION_TIMEOUT', 'hangs'),
    new Pkcs11PoolError('CREATE_FAILED', 'no session'),
    new Error('the caller’s'),
    'gone',
  ]) {
    expect(retries.next(error, 1, LONG)).toBeUndefined()
  }
  expect(retries.next(answered('CKR_GENERAL_ERROR', 'C_DecryptInit'), 1, LONG)).toBeGreaterThan(0)
})

test('signatures that take something of their key away are known by their mechanism', () => {
  const used = ['CKM_HSS', { mechanism: 0x4036 }, { mechanism: 0x4037 }] as const
  expect(used.map((mechanism) => usesUpKey(packMechanism(mechanism)))).toEqual([true, true, true])
  const others = [
    'CKM_SHA256_RSA_PKCS',
    'CKM_HSS_KEY_PAIR_GEN',
    { mechanism: 0x8000_4033 },
    { mechanism: 0x8001_4033 },
  ] as const
  expect(others.map((mechanism) => usesUpKey(packMechanism(mechanism)))).toEqual([false, false, false, false])
})
