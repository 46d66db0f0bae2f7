/**
 * Digests that RSA-PSS and RSA-OAEP can use: their length, and the mask generation function that belongs to them.
 */
export const PADDING_DIGESTS = {
  CKM_SHA_1: { length: 20, mgf: 'CKG_MGF1_SHA1' },
  CKM_SHA224: { length: 28, mgf: 'CKG_MGF1_SHA224' },
  CKM_SHA256: { length: 32, mgf: 'CKG_MGF1_SHA256' },
  CKM_SHA384: { length: 48, mgf: 'CKG_MGF1_SHA384' },
  CKM_SHA512: { length: 64, mgf: 'CKG_MGF1_SHA512' },
  CKM_SHA3_224: { length: 28, mgf: 'CKG_MGF1_SHA3_224' },
  CKM_SHA3_256: { length: 32, mgf: 'CKG_MGF1_SHA3_256' },
  CKM_SHA3_384: { length: 48, mgf: 'CKG_MGF1_SHA3_384' },
  CKM_SHA3_512: { length: 64, mgf: 'CKG_MGF1_SHA3_512' },
} as const satisfies Record<string, { length: number; mgf: keyof typeof MASK_GENERATION_FUNCTIONS }>

/** A digest for RSA-PSS and RSA-OAEP. */
export type PaddingDigestName = keyof typeof PADDING_DIGESTS

/** Mask generation functions (CKG_…). Source: PKCS#11 2.40 Current Mechanisms, "PKCS #1 RSA OAEP mechanism parameters"; 3.0 for SHA-3. */
export const MASK_GENERATION_FUNCTIONS = {
  CKG_MGF1_SHA1: 1,
  CKG_MGF1_SHA256: 2,
  CKG_MGF1_SHA384: 3,
  CKG_MGF1_SHA512: 4,
  CKG_MGF1_SHA224: 5,
  CKG_MGF1_SHA3_224: 6,
  CKG_MGF1_SHA3_256: 7,
  CKG_MGF1_SHA3_384: 8,
  CKG_MGF1_SHA3_512: 9,
} as const

/** A mask generation function for RSA-PSS and RSA-OAEP. */
export type MaskGenerationFunctionName = keyof typeof MASK_GENERATION_FUNCTIONS

/**
 * Key derivation functions of ECDH (CKD_…).
 *
 * Source: PKCS#11 2.40 Current Mechanisms, "Elliptic Curve"; 3.0 for SHA-3 and SP 800-56A.
 */
export const KEY_DERIVATION_FUNCTIONS = {
  CKD_NULL: 0x01,
  CKD_SHA1_KDF: 0x02,
  CKD_SHA224_KDF: 0x05,
  CKD_SHA256_KDF: 0x06,
  CKD_SHA384_KDF: 0x07,
  CKD_SHA512_KDF: 0x08,
  CKD_SHA3_224_KDF: 0x0a,
  CKD_SHA3_256_KDF: 0x0b,
  CKD_SHA3_384_KDF: 0x0c,
  CKD_SHA3_512_KDF: 0x0d,
  CKD_SHA1_KDF_SP800: 0x0e,
  CKD_SHA224_KDF_SP800: 0x0f,
  CKD_SHA256_KDF_SP800: 0x10,
  CKD_SHA384_KDF_SP800: 0x11,
  CKD_SHA512_KDF_SP800: 0x12,
  CKD_SHA3_224_KDF_SP800: 0x13,
  CKD_SHA3_256_KDF_SP800: 0x14,
  CKD_SHA3_384_KDF_SP800: 0x15,
  CKD_SHA3_512_KDF_SP800: 0x16,
} as const

/** A key derivation function for ECDH. */
export type KeyDerivationFunctionName = keyof typeof KEY_DERIVATION_FUNCTIONS
