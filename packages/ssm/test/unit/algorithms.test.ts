import { describe, expect, it } from 'vitest'
import {
  cipherMechanism,
  decryptionAlgorithm,
  encryptionAlgorithm,
  ivBytes,
  requireGcmDecryptionLabel,
  requireGcmEncryptionLabel,
} from '../../src/crypto/algorithms.js'

const iv = Buffer.alloc(16)

describe('an algorithm number', () => {
  it.each([
    [5, 'KEY_ENCRYPTION_AES256', 'CKM_AES_CBC_PAD', 16],
    [6, 'KEY_ENCRYPTION_AES128', 'CKM_AES_CBC_PAD', 16],
    [7, 'KEY_ENCRYPTION_DES', 'CKM_DES_CBC_PAD', 8],
    [8, 'KEY_ENCRYPTION_DES3', 'CKM_DES3_CBC_PAD', 8],
  ])('%d encrypts under %s with %s and an IV of %d bytes', (number, label, mechanism, bytes) => {
    const algorithm = encryptionAlgorithm(number, label, true)
    expect(cipherMechanism(algorithm, iv)).toEqual({ mechanism, iv })
    expect(ivBytes(algorithm)).toBe(bytes)
  })

  it.each([
    [1, 'K4_AES', 'AES'],
    [2, 'K4_AES', 'AES'],
    [3, 'K4_DES', 'DES'],
    [4, 'K4_DES3', 'DES3'],
    [5, 'KEY_ENCRYPTION_AES256', 'AES'],
    [6, 'KEY_ENCRYPTION_AES256', 'AES'],
    [7, 'KEY_ENCRYPTION_DES', 'DES'],
    [8, 'KEY_ENCRYPTION_DES3', 'DES3'],
    [1, 'somebody’s own', 'AES'],
  ])(
    '%d decrypts under %s with %s in CBC, or ECB without an IV, or without padding where asked',
    (number, label, family) => {
      const algorithm = decryptionAlgorithm(number, label)
      expect(cipherMechanism(algorithm, iv)).toEqual({ mechanism: `CKM_${family}_CBC_PAD`, iv })
      expect(cipherMechanism(algorithm, iv, 'none')).toEqual({ mechanism: `CKM_${family}_CBC`, iv })
      expect(cipherMechanism(algorithm, undefined)).toEqual({ mechanism: `CKM_${family}_ECB` })
    },
  )

  it.each([1, 2, 3, 4, 9, 0, -1, 99])('%d does not encrypt', (number) => {
    expect(() => encryptionAlgorithm(number, 'KEY_ENCRYPTION_AES256', true)).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_ALGORITHM' }),
    )
  })

  it.each([9, 0, -1, 99])('%d does not decrypt', (number) => {
    expect(() => decryptionAlgorithm(number, 'K4_AES')).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_ALGORITHM' }),
    )
  })

  it.each([7, 8])('%d encrypts only where legacy algorithms are allowed', (number) => {
    expect(() => encryptionAlgorithm(number, 'k', false)).toThrow(
      expect.objectContaining({
        code: 'UNSUPPORTED_ALGORITHM',
        message: expect.stringContaining('SSM_LEGACY_ALGORITHMS') as string,
      }),
    )
  })

  it.each([
    [5, 'K4_AES'],
    [5, 'KEY_ENCRYPTION_AES128'],
    [5, 'KEY_ENCRYPTION_DES3'],
  ])('%d does not encrypt under %s, whose keys are for something else', (number, label) => {
    expect(() => encryptionAlgorithm(number, label, true)).toThrow(
      expect.objectContaining({ code: 'INVALID_KEY_TYPE' }),
    )
  })

  it('does not decrypt under a label of another family', () => {
    expect(() => decryptionAlgorithm(3, 'K4_AES')).toThrow(expect.objectContaining({ code: 'INVALID_KEY_TYPE' }))
  })

  it.each([
    'SSM_ENC_KEY',
    'ENCRYPTION_KEY_INTERNAL_AES256',
    'ENCRYPTION_KEY_INTERNAL_AES128',
    'AUDIT_SIGNING_KEY',
    'JWT_SIGNING_KEY',
  ])('never works with %s, which is the service’s own', (label) => {
    expect(() => encryptionAlgorithm(5, label, true)).toThrow(expect.objectContaining({ code: 'VALIDATION_FAILED' }))
    expect(() => decryptionAlgorithm(1, label)).toThrow(expect.objectContaining({ code: 'VALIDATION_FAILED' }))
    expect(() => requireGcmEncryptionLabel(label)).toThrow(expect.objectContaining({ code: 'VALIDATION_FAILED' }))
    expect(() => requireGcmDecryptionLabel(label)).toThrow(expect.objectContaining({ code: 'VALIDATION_FAILED' }))
  })
})

describe('AES-GCM', () => {
  it('encrypts under the label of AES-256, and under labels that are nobody’s', () => {
    for (const label of ['KEY_ENCRYPTION_AES256', 'my own']) expect(requireGcmEncryptionLabel(label)).toBeUndefined()
    for (const label of ['KEY_ENCRYPTION_AES128', 'KEY_ENCRYPTION_DES3', 'K4_AES']) {
      expect(() => requireGcmEncryptionLabel(label)).toThrow(expect.objectContaining({ code: 'INVALID_KEY_TYPE' }))
    }
  })

  it('decrypts under the label of any AES', () => {
    for (const label of ['KEY_ENCRYPTION_AES256', 'KEY_ENCRYPTION_AES128', 'K4_AES', 'my own']) {
      expect(requireGcmDecryptionLabel(label)).toBeUndefined()
    }
    expect(() => requireGcmDecryptionLabel('K4_DES3')).toThrow(expect.objectContaining({ code: 'INVALID_KEY_TYPE' }))
  })
})
