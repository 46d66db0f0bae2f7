import { describe, expect, it } from 'vitest'
import { Pkcs11PoolError } from '../../src/errors.js'
import { packGcmWithTokenIv } from '../../src/pkcs11/mechanism-shapes.js'
import { type Mechanism, mechanismName, packMechanism } from '../../src/pkcs11/mechanisms.js'
import { ParameterKind } from '../../src/pkcs11/protocol.js'
import { unpackMechanism } from '../support/unpack.js'

const bytes = (length: number, value = 7): Uint8Array => new Uint8Array(length).fill(value)

function refusal(mechanism: unknown): Pkcs11PoolError {
  try {
    packMechanism(mechanism as Mechanism)
  } catch (error) {
    if (error instanceof Pkcs11PoolError) return error
    throw error
  }
  throw new Error('it was packed')
}

const plain = { kind: ParameterKind.NONE, n1: 0n, n2: 0n, n3: 0n, a: '', b: '' }

describe('a mechanism without parameters', () => {
  it('is its type and nothing else', () => {
    expect(unpackMechanism(packMechanism('CKM_SHA256_RSA_PKCS'))).toEqual({ ...plain, type: 0x40n })
    expect(unpackMechanism(packMechanism('CKM_EDDSA'))).toEqual({ ...plain, type: 0x1057n })
  })

  it('is the same written as a name and as an object', () => {
    expect(packMechanism({ mechanism: 'CKM_AES_ECB' })).toEqual(packMechanism('CKM_AES_ECB'))
  })

  it('is packed once and then reused', () => {
    expect(packMechanism('CKM_ECDSA')).toBe(packMechanism('CKM_ECDSA'))
  })

  it('by a vendor is a number, with the parameter’s bytes as they are', () => {
    expect(unpackMechanism(packMechanism({ mechanism: 0x80000001 }))).toEqual({ ...plain, type: 0x80000001n })
    expect(unpackMechanism(packMechanism({ mechanism: 0xffffffff, parameter: bytes(3) }))).toEqual({
      ...plain,
      type: 0xffffffffn,
      kind: ParameterKind.BYTES,
      a: '070707',
    })
  })
})

describe('a mechanism with parameters', () => {
  const cases: [Mechanism, Partial<ReturnType<typeof unpackMechanism>>][] = [
    [
      { mechanism: 'CKM_AES_CBC_PAD', iv: bytes(16) },
      { type: 0x1085n, kind: ParameterKind.BYTES, a: '07'.repeat(16) },
    ],
    [
      { mechanism: 'CKM_DES3_CBC', iv: bytes(8) },
      { type: 0x133n, kind: ParameterKind.BYTES, a: '07'.repeat(8) },
    ],
    [{ mechanism: 'CKM_AES_KEY_WRAP' }, { type: 0x2109n, kind: ParameterKind.NONE }],
    [
      { mechanism: 'CKM_AES_KEY_WRAP_KWP', iv: bytes(4) },
      { type: 0x210bn, kind: ParameterKind.BYTES, a: '07070707' },
    ],
    [
      { mechanism: 'CKM_AES_GCM', iv: bytes(12), aad: bytes(2, 9) },
      { type: 0x1087n, kind: ParameterKind.GCM, n1: 128n, n2: 0n, a: '07'.repeat(12), b: '0909' },
    ],
    [
      { mechanism: 'CKM_AES_GCM', iv: bytes(1), tagBits: 96 },
      { kind: ParameterKind.GCM, n1: 96n, a: '07', b: '' },
    ],
    [
      { mechanism: 'CKM_AES_CCM', nonce: bytes(13), macLength: 16, dataLength: 70_000, aad: bytes(1) },
      { type: 0x1088n, kind: ParameterKind.CCM, n1: 16n, n2: 70_000n, a: '07'.repeat(13), b: '07' },
    ],
    [
      { mechanism: 'CKM_AES_CTR', counterBlock: bytes(16), counterBits: 32 },
      { type: 0x1086n, kind: ParameterKind.CTR, n1: 32n, a: '07'.repeat(16) },
    ],
    [
      { mechanism: 'CKM_RSA_PKCS_OAEP', hashAlg: 'CKM_SHA256' },
      { type: 9n, kind: ParameterKind.OAEP, n1: 0x250n, n2: 2n, a: '' },
    ],
    [
      { mechanism: 'CKM_RSA_PKCS_OAEP', hashAlg: 'CKM_SHA_1', mgf: 'CKG_MGF1_SHA512', source: bytes(2) },
      { kind: ParameterKind.OAEP, n1: 0x220n, n2: 4n, a: '0707' },
    ],
    [
      { mechanism: 'CKM_RSA_PKCS_PSS', hashAlg: 'CKM_SHA384', mgf: 'CKG_MGF1_SHA384', saltLength: 0 },
      { type: 0xdn, kind: ParameterKind.PSS, n1: 0x260n, n2: 3n, n3: 0n },
    ],
    ['CKM_SHA512_RSA_PKCS_PSS', { type: 0x45n, kind: ParameterKind.PSS, n1: 0x270n, n2: 4n, n3: 64n }],
    [
      { mechanism: 'CKM_SHA256_RSA_PKCS_PSS', hashAlg: 'CKM_SHA256', saltLength: 20 },
      { type: 0x43n, kind: ParameterKind.PSS, n1: 0x250n, n2: 2n, n3: 20n },
    ],
    [
      { mechanism: 'CKM_ECDH1_DERIVE', publicData: bytes(65) },
      { type: 0x1050n, kind: ParameterKind.ECDH1, n1: 1n, a: '07'.repeat(65), b: '' },
    ],
    [
      { mechanism: 'CKM_ECDH1_COFACTOR_DERIVE', publicData: bytes(1), kdf: 'CKD_SHA256_KDF', sharedData: bytes(2, 1) },
      { type: 0x1051n, kind: ParameterKind.ECDH1, n1: 6n, a: '07', b: '0101' },
    ],
    [
      { mechanism: 'CKM_DH_PKCS_DERIVE', publicData: bytes(2) },
      { type: 0x21n, kind: ParameterKind.BYTES, a: '0707' },
    ],
    [
      { mechanism: 'CKM_CONCATENATE_DATA_AND_BASE', data: bytes(2) },
      { type: 0x363n, kind: ParameterKind.STRING_DATA, a: '0707' },
    ],
    [
      { mechanism: 'CKM_AES_CBC_ENCRYPT_DATA', iv: bytes(16), data: bytes(2, 1) },
      { type: 0x1105n, kind: ParameterKind.CBC16_DATA, a: '07'.repeat(16), b: '0101' },
    ],
    [
      { mechanism: 'CKM_DES3_CBC_ENCRYPT_DATA', iv: bytes(8), data: bytes(2, 1) },
      { type: 0x1103n, kind: ParameterKind.CBC8_DATA, a: '07'.repeat(8), b: '0101' },
    ],
    [
      { mechanism: 'CKM_SHA256_HMAC_GENERAL', macLength: 16 },
      { type: 0x252n, kind: ParameterKind.ULONG, n1: 16n },
    ],
    [
      { mechanism: 'CKM_EXTRACT_KEY_FROM_KEY', firstBit: 0 },
      { type: 0x365n, kind: ParameterKind.ULONG, n1: 0n },
    ],
    [
      { mechanism: 'CKM_CONCATENATE_BASE_AND_KEY', key: 0xffff_ffff_ffff_ffffn },
      { type: 0x360n, kind: ParameterKind.ULONG, n1: 0xffff_ffff_ffff_ffffn },
    ],
    [
      { mechanism: 'CKM_CONCATENATE_BASE_AND_KEY', key: 2 ** 40 + 5 },
      { type: 0x360n, kind: ParameterKind.ULONG, n1: 2n ** 40n + 5n },
    ],
  ]
  it.each(cases)('is packed field by field: %o', (mechanism, expected) => {
    expect(unpackMechanism(packMechanism(mechanism))).toMatchObject(expected)
  })

  it('is copied: a caller may wipe its IV at once', () => {
    const iv = bytes(16)
    const packed = packMechanism({ mechanism: 'CKM_AES_CBC', iv })
    iv.fill(0)
    expect(unpackMechanism(packed).a).toBe('07'.repeat(16))
  })

  it('takes a view into a larger buffer as what it shows', () => {
    const iv = Buffer.from('00112233445566778899aabbccddeeff0011', 'hex').subarray(1, 17)
    expect(unpackMechanism(packMechanism({ mechanism: 'CKM_AES_CBC', iv })).a).toBe(iv.toString('hex'))
  })

  it('lets the token choose the IV of GCM only where that is asked for', () => {
    expect(unpackMechanism(packGcmWithTokenIv({ ivLength: 12, aad: bytes(1) }))).toMatchObject({
      kind: ParameterKind.GCM,
      n1: 128n,
      n2: 12n,
      a: '',
      b: '07',
    })
    expect(refusal({ mechanism: 'CKM_AES_GCM', iv: bytes(0) }).message).toBe(
      'mechanism CKM_AES_GCM: iv is 0 bytes, expected a Uint8Array of 1 to 256 bytes',
    )
    expect(() => packGcmWithTokenIv({ ivLength: 0 })).toThrow('ivLength is 0, expected an integer from 1 to 256')
  })
})

describe('a mechanism that cannot be packed', () => {
  it.each<[unknown, string]>([
    [
      { mechanism: 'CKM_AES_CBC_PAD', iv: bytes(12) },
      'mechanism CKM_AES_CBC_PAD: iv is 12 bytes, expected a Uint8Array of 16 bytes',
    ],
    [
      { mechanism: 'CKM_DES_CBC', iv: bytes(16) },
      'mechanism CKM_DES_CBC: iv is 16 bytes, expected a Uint8Array of 8 bytes',
    ],
    [{ mechanism: 'CKM_AES_CBC' }, 'mechanism CKM_AES_CBC: iv is missing, expected a Uint8Array of 16 bytes'],
    ['CKM_AES_CBC', 'mechanism CKM_AES_CBC: iv is missing, expected a Uint8Array of 16 bytes'],
    [
      { mechanism: 'CKM_AES_CBC', iv: 'secret' },
      'mechanism CKM_AES_CBC: iv is a string, expected a Uint8Array of 16 bytes',
    ],
    [
      { mechanism: 'CKM_AES_CBC', IV: bytes(16) },
      'mechanism CKM_AES_CBC has no field "IV", expected only mechanism, iv; did you mean iv?',
    ],
    [{ mechanism: 'CKM_AES_ECB', iv: bytes(16) }, 'mechanism CKM_AES_ECB has no field "iv", expected only mechanism'],
    [
      'CKM_SHA256_RSA_PKC',
      'mechanism is "CKM_SHA256_RSA_PKC", expected a name of the PKCS#11 standard; did you mean CKM_SHA256_RSA_PKCS?',
    ],
    [
      'AES_CBC_PAD',
      'mechanism is "AES_CBC_PAD", expected a name of the PKCS#11 standard; did you mean CKM_AES_CBC_PAD?',
    ],
    ['toString', 'mechanism is "toString", expected a name of the PKCS#11 standard'],
    ['CKM_RC4', 'mechanism CKM_RC4 is known, but this library has no form for its parameters; use another mechanism'],
    [
      { mechanism: 'CKM_HKDF_DERIVE' },
      'mechanism CKM_HKDF_DERIVE is known, but this library has no form for its parameters; use another mechanism',
    ],
    [{ mechanism: 0x1087, parameter: bytes(48) }, "mechanism is 0x00001087, expected its name: 'CKM_AES_GCM'"],
    [{ mechanism: -1 }, 'mechanism by number: mechanism is -1, expected an integer from 0 to 4294967295'],
    [
      { mechanism: 0x80000001, parameters: bytes(1) },
      'mechanism 0x80000001 has no field "parameters", expected only mechanism, parameter; did you mean parameter?',
    ],
    [
      { mechanism: 'CKM_AES_CTR', counterBlock: bytes(16), counterBits: 129 },
      'mechanism CKM_AES_CTR: counterBits is 129, expected an integer from 1 to 128',
    ],
    [
      { mechanism: 'CKM_AES_GCM', iv: bytes(12), tagBits: 100 },
      'mechanism CKM_AES_GCM: tagBits is 100, expected a multiple of 8 from 32 to 128',
    ],
    [
      { mechanism: 'CKM_AES_CCM', nonce: bytes(12), dataLength: 1, macLength: 5 },
      'mechanism CKM_AES_CCM: macLength is 5, expected an even number from 4 to 16',
    ],
    [
      { mechanism: 'CKM_SHA256_RSA_PKCS_PSS', hashAlg: 'CKM_SHA384' },
      'mechanism CKM_SHA256_RSA_PKCS_PSS: hashAlg is "CKM_SHA384", expected CKM_SHA256',
    ],
    [{ mechanism: 'CKM_RSA_PKCS_PSS', hashAlg: 'CKM_SHA256', mgf: 'CKG_MGF1_SHA265' }, 'did you mean CKG_MGF1_SHA256?'],
    [
      { mechanism: 'CKM_ECDH1_DERIVE', publicData: bytes(65), kdf: 1 },
      'mechanism CKM_ECDH1_DERIVE: kdf is 1, expected one of CKD_NULL,',
    ],
    [undefined, 'mechanism is undefined, expected a name such as'],
    [null, 'mechanism is null, expected a name such as'],
    [{}, 'the field mechanism is undefined, expected a name such as'],
    [0x1085, 'mechanism is an integer, expected a name such as'],
  ])('says what was got and what is expected: %o', (mechanism, message) => {
    const error = refusal(mechanism)
    expect(error.code).toBe('INVALID_ARGUMENT')
    expect(error.message).toContain(message)
  })

  it('is answered at once however long its name', () => {
    expect(refusal('x'.repeat(10_000_000)).message.length).toBeLessThan(200)
  })
})

describe('the name of a mechanism', () => {
  it('is the standard’s, for those of the past too, or its number', () => {
    expect(mechanismName(0x1085)).toBe('CKM_AES_CBC_PAD')
    expect(mechanismName(0x111)).toBe('CKM_RC4')
    expect(mechanismName(0x80000001)).toBe('CKM_0x80000001')
  })
})
