import { describe, expect, it } from 'vitest'
import { CryptokiError, Pkcs11PoolError } from '../../src/errors.js'
import { cryptokiError } from '../../src/pkcs11/cryptoki-error.js'
import { RETURN_VALUES } from '../../src/pkcs11/return-values.js'

describe('the error of a PKCS#11 function', () => {
  it('says which function failed, with what, why and what to do', () => {
    const error = cryptokiError(0x21, 'C_Encrypt')
    expect(error.message).toBe(
      'C_Encrypt failed with CKR_DATA_LEN_RANGE (0x00000021): the input has a length the mechanism cannot take; ' +
        'a mechanism without padding wants whole blocks, RSA less than the modulus',
    )
  })

  it('carries the number, the name, the function and the category', () => {
    const error = cryptokiError(0xb3, 'C_SignInit')
    expect(error).toBeInstanceOf(CryptokiError)
    expect(error).toBeInstanceOf(Pkcs11PoolError)
    expect(error).toMatchObject({
      name: 'CryptokiError',
      code: 'CRYPTOKI',
      category: 'session',
      rv: 0xb3,
      rvName: 'CKR_SESSION_HANDLE_INVALID',
      fn: 'C_SignInit',
    })
  })

  it('names what the call was about', () => {
    expect(cryptokiError(0x68, 'C_SignInit', 'key "k4"').message).toMatch(
      /^C_SignInit failed with CKR_KEY_FUNCTION_NOT_PERMITTED \(0x00000068\) for key "k4": /,
    )
  })

  it('has a code of its own for a mechanism the token does not offer', () => {
    expect(cryptokiError(0x70, 'C_EncryptInit')).toMatchObject({ code: 'MECHANISM_NOT_SUPPORTED', category: 'caller' })
  })

  it.each(Object.entries(RETURN_VALUES).filter(([, { category }]) => category === 'credentials'))(
    'has a code of its own for credentials: %s',
    (name, { rv }) => {
      expect(cryptokiError(rv, 'C_Login')).toMatchObject({
        code: 'CREDENTIALS_REJECTED',
        category: 'credentials',
        rvName: name,
      })
    },
  )

  it('names a vendor’s own return value by its number', () => {
    const error = cryptokiError(0x80000012, 'C_Sign')
    expect(error).toMatchObject({ code: 'CRYPTOKI', category: 'session', rvName: 'CKR_0x80000012' })
    expect(error.message).toContain('CKR_0x80000012 (0x80000012)')
  })

  it('says a next step for every return value', () => {
    for (const { rv } of Object.values(RETURN_VALUES)) {
      expect(cryptokiError(rv, 'C_Sign').message).toMatch(/^C_Sign failed with CKR_\w+ \(0x[0-9a-f]{8}\): .+; .+$/)
    }
  })
})
