import { describe, expect, it } from 'vitest'
import { describeRv, RETURN_VALUES, type ReturnValueCategory } from '../../src/pkcs11/return-values.js'

/** What must happen beyond keeping the session, return value by return value; all others are the caller's. */
const consequences: Record<Exclude<ReturnValueCategory, 'caller'>, string[]> = {
  session: [
    'CKR_CANCEL',
    'CKR_GENERAL_ERROR',
    'CKR_FUNCTION_CANCELED',
    'CKR_OPERATION_ACTIVE',
    'CKR_OPERATION_NOT_INITIALIZED',
    'CKR_OPERATION_CANCEL_FAILED',
    'CKR_SESSION_CLOSED',
    'CKR_SESSION_HANDLE_INVALID',
    'CKR_BUFFER_TOO_SMALL',
  ],
  login: ['CKR_USER_NOT_LOGGED_IN', 'CKR_USER_ALREADY_LOGGED_IN'],
  token: [
    'CKR_SLOT_ID_INVALID',
    'CKR_DEVICE_ERROR',
    'CKR_DEVICE_REMOVED',
    'CKR_TOKEN_NOT_PRESENT',
    'CKR_TOKEN_NOT_RECOGNIZED',
  ],
  module: [
    'CKR_NEED_TO_CREATE_THREADS',
    'CKR_CANT_LOCK',
    'CKR_CRYPTOKI_NOT_INITIALIZED',
    'CKR_CRYPTOKI_ALREADY_INITIALIZED',
    'CKR_MUTEX_BAD',
    'CKR_MUTEX_NOT_LOCKED',
    'CKR_FIPS_SELF_TEST_FAILED',
    'CKR_LIBRARY_LOAD_FAILED',
  ],
  credentials: [
    'CKR_PIN_INCORRECT',
    'CKR_PIN_INVALID',
    'CKR_PIN_LEN_RANGE',
    'CKR_PIN_EXPIRED',
    'CKR_PIN_LOCKED',
    'CKR_PIN_TOO_WEAK',
    'CKR_USER_PIN_NOT_INITIALIZED',
    'CKR_NEW_PIN_MODE',
    'CKR_NEXT_OTP',
  ],
  overload: [
    'CKR_HOST_MEMORY',
    'CKR_DEVICE_MEMORY',
    'CKR_FUNCTION_FAILED',
    'CKR_SESSION_COUNT',
    'CKR_TOKEN_RESOURCE_EXCEEDED',
  ],
}

function namesOf(category: ReturnValueCategory): string[] {
  return Object.entries(RETURN_VALUES)
    .filter(([, value]) => value.category === category)
    .map(([name]) => name)
    .sort()
}

describe('a return value', () => {
  it.each(Object.entries(consequences))('is %s only where something has to follow from it', (category, names) => {
    expect(namesOf(category as ReturnValueCategory)).toEqual([...names].sort())
  })

  it('never lets a rejected PIN be taken for anything that is tried again', () => {
    const aboutPins = Object.entries(RETURN_VALUES).filter(([name]) => name.includes('_PIN_'))
    expect(aboutPins.length).toBeGreaterThan(5)
    for (const [, value] of aboutPins) expect(value.category).toBe('credentials')
  })

  it('has its name, number, category and meaning', () => {
    expect(describeRv(0xa0)).toMatchObject({ name: 'CKR_PIN_INCORRECT', rv: 0xa0, category: 'credentials' })
    for (const [name, { rv }] of Object.entries(RETURN_VALUES)) expect(describeRv(rv).name).toBe(name)
  })

  it('of a vendor’s own discards the session, as its state cannot be known', () => {
    expect(describeRv(0x80000012)).toMatchObject({ name: 'CKR_0x80000012', category: 'session', rv: 0x80000012 })
    expect(describeRv(0xffffffff).name).toBe('CKR_0xffffffff')
  })

  it('that no standard has discards the session too', () => {
    expect(describeRv(0x4)).toMatchObject({ name: 'CKR_0x00000004', category: 'session' })
    expect(describeRv(0xce534351)).toMatchObject({ category: 'session' })
  })

  it('reads as a sentence without an end, so that messages can go on after it', () => {
    for (const value of Object.values(RETURN_VALUES)) expect(value.meaning).toMatch(/^[a-z].*[^.;:]$/)
  })
})
