/** What the compiler must accept and refuse of mechanisms. Nothing here is run: it is checked with the types of the tests. */
import type { Mechanism } from '../../src/pkcs11/mechanisms.js'

declare const iv: Uint8Array
declare const data: Uint8Array

export const accepted: Mechanism[] = [
  'CKM_SHA256_RSA_PKCS',
  'CKM_AES_KEY_GEN',
  'CKM_EDDSA',
  'CKM_AES_KEY_WRAP',
  'CKM_SHA256_RSA_PKCS_PSS',
  { mechanism: 'CKM_AES_ECB' },
  { mechanism: 'CKM_AES_CBC_PAD', iv },
  { mechanism: 'CKM_DES3_CBC', iv },
  { mechanism: 'CKM_AES_GCM', iv },
  { mechanism: 'CKM_AES_GCM', iv, aad: data, tagBits: 96 },
  { mechanism: 'CKM_AES_CTR', counterBlock: iv, counterBits: 32 },
  { mechanism: 'CKM_AES_CCM', nonce: iv, dataLength: 16, macLength: 16 },
  { mechanism: 'CKM_RSA_PKCS_OAEP', hashAlg: 'CKM_SHA256', mgf: 'CKG_MGF1_SHA256', source: data },
  { mechanism: 'CKM_RSA_PKCS_PSS', hashAlg: 'CKM_SHA256', saltLength: 32 },
  { mechanism: 'CKM_ECDH1_DERIVE', publicData: data, kdf: 'CKD_NULL' },
  { mechanism: 'CKM_CONCATENATE_DATA_AND_BASE', data },
  { mechanism: 'CKM_AES_CBC_ENCRYPT_DATA', iv, data },
  { mechanism: 'CKM_SHA256_HMAC_GENERAL', macLength: 16 },
  { mechanism: 0x80000001 },
  { mechanism: 0x80000001, parameter: data },
]

/** Narrowing on `mechanism` gives the fields of that mechanism. */
export function ivOf(mechanism: Mechanism): Uint8Array | undefined {
  if (typeof mechanism === 'string') return undefined
  return mechanism.mechanism === 'CKM_AES_CBC_PAD' ? mechanism.iv : undefined
}

// @ts-expect-error a misspelled name
export const misspelled: Mechanism = 'CKM_SHA256_RSA_PKC'
// @ts-expect-error an IV is needed
export const nameAlone: Mechanism = 'CKM_AES_CBC_PAD'
// @ts-expect-error an IV is needed
export const withoutIv: Mechanism = { mechanism: 'CKM_AES_CBC_PAD' }
// @ts-expect-error the IV is bytes
export const textIv: Mechanism = { mechanism: 'CKM_AES_CBC_PAD', iv: '00112233445566778899aabbccddeeff' }
// @ts-expect-error a misspelled field
export const wrongField: Mechanism = { mechanism: 'CKM_AES_GCM', iv, add: data }
// @ts-expect-error ECB has no IV
export const needlessIv: Mechanism = { mechanism: 'CKM_AES_ECB', iv }
// @ts-expect-error no digest of that name
export const wrongDigest: Mechanism = { mechanism: 'CKM_RSA_PKCS_OAEP', hashAlg: 'SHA256' }
// @ts-expect-error a mechanism of the past
export const historical: Mechanism = 'CKM_RC4'
// @ts-expect-error no form for its parameters
export const unsupported: Mechanism = 'CKM_HKDF_DERIVE'
// @ts-expect-error a vendor's parameter is bytes
export const vendorText: Mechanism = { mechanism: 0x80000001, parameter: 'abc' }
