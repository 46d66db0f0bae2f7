import { expect, test } from 'vitest'
import { Pkcs11PoolError } from '../../src/index.js'
import { cryptokiError } from '../../src/pkcs11/cryptoki-error.js'
import { RETURN_VALUES } from '../../src/pkcs11/return-values.js'
import { evidenceOf } from '../../src/resilience/evidence.js'

const answered = (name: keyof typeof RETURN_VALUES, fn = 'C_EncryptInit') => cryptokiError(RETURN_VALUES[name].rv, fn)

test.each([
  ['CKR_DEVICE_ERROR', 'failure'],
  ['CKR_SLOT_ID_INVALID', 'failure'],
  ['CKR_MUTEX_BAD', 'failure'],
  ['CKR_DEVICE_REMOVED', 'token gone'],
  ['CKR_TOKEN_NOT_PRESENT', 'token gone'],
  ['CKR_SESSION_HANDLE_INVALID', 'session gone'],
  ['CKR_SESSION_CLOSED', 'session gone'],
  ['CKR_CRYPTOKI_NOT_INITIALIZED', 'module not initialised'],
  ['CKR_DATA_INVALID', 'nothing'],
  ['CKR_GENERAL_ERROR', 'doubt'],
  ['CKR_USER_NOT_LOGGED_IN', 'nothing'],
  ['CKR_PIN_INCORRECT', 'nothing'],
  ['CKR_FUNCTION_FAILED', 'nothing'],
  ['CKR_SESSION_COUNT', 'nothing'],
] as const)('%s shows: %s', (name, evidence) => {
  expect(evidenceOf(answered(name))).toBe(evidence)
})

test('an error that only its vendor knows may be anything', () => {
  expect(evidenceOf(cryptokiError(0x8000_0001, 'C_EncryptInit'))).toBe('doubt')
})

test('a call given up inside the module counts, one that was not sent does not', () => {
  expect(evidenceOf(new Pkcs11PoolError('OPERATION_TIMEOUT', 'hangs'))).toBe('failure')
  expect(evidenceOf(new Pkcs11PoolError('OPERATION_TIMEOUT', 'late', { category: 'overload' }))).toBe('nothing')
  expect(evidenceOf(new Pkcs11PoolError('TOKEN_STALLED', 'stalled'))).toBe('nothing')
})

test.each(['C_Decrypt', 'C_Verify', 'C_UnwrapKey'])(
  'what %s answers may be about the data that somebody sent, unless the token is gone',
  (fn) => {
    expect(evidenceOf(answered('CKR_DEVICE_ERROR', fn))).toBe('doubt')
    expect(evidenceOf(answered('CKR_DEVICE_REMOVED', fn))).toBe('token gone')
  },
)
