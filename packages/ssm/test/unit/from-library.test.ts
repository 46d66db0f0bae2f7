import {
  BreakerOpenError,
  CryptokiError,
  ERROR_HELP,
  type ErrorCategory,
  type ErrorCode,
  Pkcs11PoolError,
} from 'pkcs11-pool'
import { describe, expect, it } from 'vitest'
import { FailureLog } from '../../src/failure-log.js'
import { problemFromLibrary } from '../../src/problems/from-library.js'
import { Problem } from '../../src/problems/problem.js'

const SECRETS = 'at /opt/hsm/lib.so, session 77, PIN 1234'

function cryptoki(rvName: string, fn: string, category: ErrorCategory): CryptokiError {
  return new CryptokiError('CRYPTOKI', SECRETS, { rv: 5, rvName, fn, category })
}

describe('an error of the library', () => {
  it.each<[ErrorCode, string, number]>([
    ['ACQUIRE_TIMEOUT', 'POOL_EXHAUSTED', 503],
    ['QUEUE_FULL', 'POOL_EXHAUSTED', 503],
    ['CREATE_FAILED', 'HSM_UNAVAILABLE', 503],
    ['CREATE_TIMEOUT', 'HSM_UNAVAILABLE', 503],
    ['MODULE_LOAD_FAILED', 'HSM_UNAVAILABLE', 503],
    ['TOKEN_NOT_FOUND', 'HSM_UNAVAILABLE', 503],
    ['TOKEN_STALLED', 'HSM_UNAVAILABLE', 503],
    ['BREAKER_OPEN', 'HSM_UNAVAILABLE', 503],
    ['SESSION_LOST', 'HSM_UNAVAILABLE', 503],
    ['POOL_CLOSED', 'HSM_UNAVAILABLE', 503],
    ['OPERATION_TIMEOUT', 'HSM_TIMEOUT', 504],
    ['CREDENTIALS_REJECTED', 'CREDENTIALS_REJECTED', 503],
    ['PIN_UNAVAILABLE', 'CREDENTIALS_REJECTED', 503],
    ['KEY_NOT_FOUND', 'KEY_NOT_FOUND', 404],
    ['KEY_AMBIGUOUS', 'KEY_AMBIGUOUS', 409],
    ['MECHANISM_NOT_SUPPORTED', 'UNSUPPORTED_ALGORITHM', 400],
    ['INVALID_ARGUMENT', 'INTERNAL_ERROR', 500],
    ['INTERNAL', 'INTERNAL_ERROR', 500],
  ])('with code %s is answered as %s, %d', (code, expected, status) => {
    const problem = problemFromLibrary(new Pkcs11PoolError(code, SECRETS), 'ENCRYPTION_ERROR')
    expect([problem.code, problem.status]).toEqual([expected, status])
  })

  it('begins with the words that the requirements give for an exhausted pool and a failed connection', () => {
    for (const code of ['ACQUIRE_TIMEOUT', 'QUEUE_FULL'] as const) {
      expect(problemFromLibrary(new Pkcs11PoolError(code, ''), 'INTERNAL_ERROR').message).toMatch(
        /^timeout waiting for available connection/,
      )
    }
    expect(problemFromLibrary(new Pkcs11PoolError('CREATE_FAILED', ''), 'INTERNAL_ERROR').message).toMatch(
      /^failed to create connection/,
    )
  })

  it('says when to try again where the HSM is away', () => {
    expect(problemFromLibrary(new Pkcs11PoolError('CREATE_FAILED', ''), 'INTERNAL_ERROR').headers).toEqual({
      'retry-after': '1',
    })
  })

  it('says when the token is tried next where its breaker is open, in whole seconds from one', () => {
    for (const [untilMs, seconds] of [
      [-5, '1'],
      [200, '1'],
      [4_000, '4'],
    ] as const) {
      const error = new BreakerOpenError('', { retryAt: new Date(Date.now() + untilMs) })
      expect(problemFromLibrary(error, 'INTERNAL_ERROR').headers).toEqual({ 'retry-after': seconds })
    }
  })

  it('never shows the library’s own message, for any code', () => {
    for (const code of Object.keys(ERROR_HELP) as ErrorCode[]) {
      const body = JSON.stringify(
        problemFromLibrary(new Pkcs11PoolError(code, SECRETS), 'DECRYPTION_ERROR').toBody('/x'),
      )
      expect(body).not.toContain('/opt')
      expect(body).not.toContain('1234')
    }
  })

  it('is about credentials where its cause is', () => {
    const cause = new Pkcs11PoolError('CREDENTIALS_REJECTED', '')
    expect(problemFromLibrary(new Pkcs11PoolError('CREATE_FAILED', '', { cause }), 'INTERNAL_ERROR').code).toBe(
      'CREDENTIALS_REJECTED',
    )
  })

  it.each<[string, ErrorCategory]>([
    ['CKR_ENCRYPTED_DATA_INVALID', 'caller'],
    ['CKR_ENCRYPTED_DATA_LEN_RANGE', 'caller'],
    ['CKR_GENERAL_ERROR', 'session'],
    ['CKR_FUNCTION_FAILED', 'overload'],
    ['CKR_DEVICE_ERROR', 'token'],
  ])('says the same about a decryption whatever the token says about the data: %s', (rvName, category) => {
    const { code, message } = problemFromLibrary(cryptoki(rvName, 'C_Decrypt', category), 'DECRYPTION_ERROR')
    expect([code, message]).toEqual([
      'DECRYPTION_ERROR',
      'the data could not be decrypted with this key, algorithm and iv',
    ])
  })

  it('says of a tag whatever the token says about it, and nothing of one that the token has not seen yet', () => {
    const code = (rvName: string, fn: string, category: ErrorCategory) =>
      problemFromLibrary(cryptoki(rvName, fn, category), 'AUTHENTICATION_FAILED').code
    expect(code('CKR_ENCRYPTED_DATA_INVALID', 'C_Decrypt', 'caller')).toBe('AUTHENTICATION_FAILED')
    expect(code('CKR_DEVICE_ERROR', 'C_Decrypt', 'token')).toBe('AUTHENTICATION_FAILED')
    expect(code('CKR_GENERAL_ERROR', 'C_DecryptInit', 'session')).toBe('DECRYPTION_ERROR')
    expect(code('CKR_DEVICE_ERROR', 'C_DecryptInit', 'token')).toBe('HSM_UNAVAILABLE')
  })

  it('tells a token that is gone from data that does not decrypt', () => {
    expect(problemFromLibrary(cryptoki('CKR_DEVICE_REMOVED', 'C_Decrypt', 'token'), 'DECRYPTION_ERROR').code).toBe(
      'HSM_UNAVAILABLE',
    )
    expect(problemFromLibrary(cryptoki('CKR_DEVICE_ERROR', 'C_DecryptInit', 'token'), 'DECRYPTION_ERROR').code).toBe(
      'HSM_UNAVAILABLE',
    )
  })

  it('blames the key where the token does', () => {
    for (const rvName of ['CKR_KEY_TYPE_INCONSISTENT', 'CKR_KEY_FUNCTION_NOT_PERMITTED']) {
      expect(problemFromLibrary(cryptoki(rvName, 'C_EncryptInit', 'caller'), 'ENCRYPTION_ERROR').code).toBe(
        'INVALID_KEY_TYPE',
      )
    }
  })

  it('is the route’s own failure otherwise', () => {
    expect(
      problemFromLibrary(cryptoki('CKR_TEMPLATE_INCONSISTENT', 'C_GenerateKey', 'caller'), 'KEY_GENERATION_ERROR').code,
    ).toBe('KEY_GENERATION_ERROR')
  })
})

describe('the log of failures', () => {
  it('tells one kind of failure once an interval, and how many it left out', () => {
    let now = 0
    const lines: string[] = []
    const log = new FailureLog(
      (line) => lines.push(line),
      () => now,
    )
    const away = () =>
      log.record(problemFromLibrary(new Pkcs11PoolError('CREATE_FAILED', 'no route to the HSM'), 'INTERNAL_ERROR'))
    away()
    away()
    away()
    log.record(new Problem('HSM_TIMEOUT', 'too late'))
    now = 1_000
    away()
    expect(lines).toEqual([
      'ssm: HSM_UNAVAILABLE: no route to the HSM',
      'ssm: HSM_TIMEOUT: too late',
      'ssm: HSM_UNAVAILABLE (and 2 more since): no route to the HSM',
    ])
  })
})
