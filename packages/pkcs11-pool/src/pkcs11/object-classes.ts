/** Object classes (CKO_…). Source: PKCS#11 2.40, section 3.4 "Object types"; CKO_PROFILE of 3.0. */
export const OBJECT_CLASSES = {
  CKO_DATA: 0x0,
  CKO_CERTIFICATE: 0x1,
  CKO_PUBLIC_KEY: 0x2,
  CKO_PRIVATE_KEY: 0x3,
  CKO_SECRET_KEY: 0x4,
  CKO_HW_FEATURE: 0x5,
  CKO_DOMAIN_PARAMETERS: 0x6,
  CKO_MECHANISM: 0x7,
  CKO_OTP_KEY: 0x8,
  CKO_PROFILE: 0x9,
} as const

/** What kind of object it is, such as `CKO_SECRET_KEY`. */
export type ObjectClassName = keyof typeof OBJECT_CLASSES

/** Key types (CKK_…). Source: PKCS#11 2.40 Current and Historical Mechanisms, with what 3.0 and 3.1 added. */
export const KEY_TYPES = {
  CKK_RSA: 0x00,
  CKK_DSA: 0x01,
  CKK_DH: 0x02,
  CKK_EC: 0x03,
  CKK_X9_42_DH: 0x04,
  CKK_KEA: 0x05,
  CKK_GENERIC_SECRET: 0x10,
  CKK_RC2: 0x11,
  CKK_RC4: 0x12,
  CKK_DES: 0x13,
  CKK_DES2: 0x14,
  CKK_DES3: 0x15,
  CKK_CAST: 0x16,
  CKK_CAST3: 0x17,
  CKK_CAST128: 0x18,
  CKK_RC5: 0x19,
  CKK_IDEA: 0x1a,
  CKK_SKIPJACK: 0x1b,
  CKK_BATON: 0x1c,
  CKK_JUNIPER: 0x1d,
  CKK_CDMF: 0x1e,
  CKK_AES: 0x1f,
  CKK_BLOWFISH: 0x20,
  CKK_TWOFISH: 0x21,
  CKK_SECURID: 0x22,
  CKK_HOTP: 0x23,
  CKK_ACTI: 0x24,
  CKK_CAMELLIA: 0x25,
  CKK_ARIA: 0x26,
  CKK_MD5_HMAC: 0x27,
  CKK_SHA_1_HMAC: 0x28,
  CKK_RIPEMD128_HMAC: 0x29,
  CKK_RIPEMD160_HMAC: 0x2a,
  CKK_SHA256_HMAC: 0x2b,
  CKK_SHA384_HMAC: 0x2c,
  CKK_SHA512_HMAC: 0x2d,
  CKK_SHA224_HMAC: 0x2e,
  CKK_SEED: 0x2f,
  CKK_GOSTR3410: 0x30,
  CKK_GOSTR3411: 0x31,
  CKK_GOST28147: 0x32,
  CKK_CHACHA20: 0x33,
  CKK_POLY1305: 0x34,
  CKK_AES_XTS: 0x35,
  CKK_SHA3_224_HMAC: 0x36,
  CKK_SHA3_256_HMAC: 0x37,
  CKK_SHA3_384_HMAC: 0x38,
  CKK_SHA3_512_HMAC: 0x39,
  CKK_BLAKE2B_160_HMAC: 0x3a,
  CKK_BLAKE2B_256_HMAC: 0x3b,
  CKK_BLAKE2B_384_HMAC: 0x3c,
  CKK_BLAKE2B_512_HMAC: 0x3d,
  CKK_SALSA20: 0x3e,
  CKK_X2RATCHET: 0x3f,
  CKK_EC_EDWARDS: 0x40,
  CKK_EC_MONTGOMERY: 0x41,
  CKK_HKDF: 0x42,
  CKK_SHA512_224_HMAC: 0x43,
  CKK_SHA512_256_HMAC: 0x44,
  CKK_SHA512_T_HMAC: 0x45,
  CKK_HSS: 0x46,
} as const

/** What algorithm a key is for, such as `CKK_AES`. */
export type KeyTypeName = keyof typeof KEY_TYPES

/** Certificate types (CKC_…). Source: PKCS#11 2.40, section 4.6. */
export const CERTIFICATE_TYPES = {
  CKC_X_509: 0x0,
  CKC_X_509_ATTR_CERT: 0x1,
  CKC_WTLS: 0x2,
} as const

/** What kind of certificate it is, such as `CKC_X_509`. */
export type CertificateTypeName = keyof typeof CERTIFICATE_TYPES

/** Hardware feature types (CKH_…). Source: PKCS#11 2.40, section 4.3. */
export const HARDWARE_FEATURE_TYPES = {
  CKH_MONOTONIC_COUNTER: 0x1,
  CKH_CLOCK: 0x2,
  CKH_USER_INTERFACE: 0x3,
} as const

/** What hardware feature an object stands for, such as `CKH_CLOCK`. */
export type HardwareFeatureName = keyof typeof HARDWARE_FEATURE_TYPES
