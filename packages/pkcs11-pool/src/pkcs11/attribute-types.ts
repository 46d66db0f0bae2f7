/**
 * The attributes that a template may have (CKA_…): their types, and what kind of value they take.
 *
 * Source: PKCS#11 2.40, section 4 and Current Mechanisms; CKA_UNIQUE_ID, CKA_PROFILE_ID and CKA_HSS_… of 3.0 and 3.1.
 */
export const ATTRIBUTES = {
  CKA_CLASS: { type: 0x00000000, kind: 'objectClass' },
  CKA_TOKEN: { type: 0x00000001, kind: 'boolean' },
  CKA_PRIVATE: { type: 0x00000002, kind: 'boolean' },
  CKA_LABEL: { type: 0x00000003, kind: 'text' },
  CKA_UNIQUE_ID: { type: 0x00000004, kind: 'text' },
  CKA_APPLICATION: { type: 0x00000010, kind: 'text' },
  CKA_VALUE: { type: 0x00000011, kind: 'bytes' },
  CKA_OBJECT_ID: { type: 0x00000012, kind: 'bytes' },
  CKA_CERTIFICATE_TYPE: { type: 0x00000080, kind: 'certificateType' },
  CKA_ISSUER: { type: 0x00000081, kind: 'bytes' },
  CKA_SERIAL_NUMBER: { type: 0x00000082, kind: 'bytes' },
  CKA_AC_ISSUER: { type: 0x00000083, kind: 'bytes' },
  CKA_OWNER: { type: 0x00000084, kind: 'bytes' },
  CKA_ATTR_TYPES: { type: 0x00000085, kind: 'bytes' },
  CKA_TRUSTED: { type: 0x00000086, kind: 'boolean' },
  CKA_CERTIFICATE_CATEGORY: { type: 0x00000087, kind: 'ulong' },
  CKA_JAVA_MIDP_SECURITY_DOMAIN: { type: 0x00000088, kind: 'ulong' },
  CKA_URL: { type: 0x00000089, kind: 'text' },
  CKA_HASH_OF_SUBJECT_PUBLIC_KEY: { type: 0x0000008a, kind: 'bytes' },
  CKA_HASH_OF_ISSUER_PUBLIC_KEY: { type: 0x0000008b, kind: 'bytes' },
  CKA_NAME_HASH_ALGORITHM: { type: 0x0000008c, kind: 'mechanism' },
  CKA_CHECK_VALUE: { type: 0x00000090, kind: 'bytes' },
  CKA_KEY_TYPE: { type: 0x00000100, kind: 'keyType' },
  CKA_SUBJECT: { type: 0x00000101, kind: 'bytes' },
  CKA_ID: { type: 0x00000102, kind: 'identifier' },
  CKA_SENSITIVE: { type: 0x00000103, kind: 'boolean' },
  CKA_ENCRYPT: { type: 0x00000104, kind: 'boolean' },
  CKA_DECRYPT: { type: 0x00000105, kind: 'boolean' },
  CKA_WRAP: { type: 0x00000106, kind: 'boolean' },
  CKA_UNWRAP: { type: 0x00000107, kind: 'boolean' },
  CKA_SIGN: { type: 0x00000108, kind: 'boolean' },
  CKA_SIGN_RECOVER: { type: 0x00000109, kind: 'boolean' },
  CKA_VERIFY: { type: 0x0000010a, kind: 'boolean' },
  CKA_VERIFY_RECOVER: { type: 0x0000010b, kind: 'boolean' },
  CKA_DERIVE: { type: 0x0000010c, kind: 'boolean' },
  CKA_START_DATE: { type: 0x00000110, kind: 'date' },
  CKA_END_DATE: { type: 0x00000111, kind: 'date' },
  CKA_MODULUS: { type: 0x00000120, kind: 'bytes' },
  CKA_MODULUS_BITS: { type: 0x00000121, kind: 'ulong' },
  CKA_PUBLIC_EXPONENT: { type: 0x00000122, kind: 'bytes' },
  CKA_PRIVATE_EXPONENT: { type: 0x00000123, kind: 'bytes' },
  CKA_PRIME_1: { type: 0x00000124, kind: 'bytes' },
  CKA_PRIME_2: { type: 0x00000125, kind: 'bytes' },
  CKA_EXPONENT_1: { type: 0x00000126, kind: 'bytes' },
  CKA_EXPONENT_2: { type: 0x00000127, kind: 'bytes' },
  CKA_COEFFICIENT: { type: 0x00000128, kind: 'bytes' },
  CKA_PUBLIC_KEY_INFO: { type: 0x00000129, kind: 'bytes' },
  CKA_PRIME: { type: 0x00000130, kind: 'bytes' },
  CKA_SUBPRIME: { type: 0x00000131, kind: 'bytes' },
  CKA_BASE: { type: 0x00000132, kind: 'bytes' },
  CKA_PRIME_BITS: { type: 0x00000133, kind: 'ulong' },
  CKA_SUBPRIME_BITS: { type: 0x00000134, kind: 'ulong' },
  CKA_VALUE_BITS: { type: 0x00000160, kind: 'ulong' },
  CKA_VALUE_LEN: { type: 0x00000161, kind: 'ulong' },
  CKA_EXTRACTABLE: { type: 0x00000162, kind: 'boolean' },
  CKA_LOCAL: { type: 0x00000163, kind: 'boolean' },
  CKA_NEVER_EXTRACTABLE: { type: 0x00000164, kind: 'boolean' },
  CKA_ALWAYS_SENSITIVE: { type: 0x00000165, kind: 'boolean' },
  CKA_KEY_GEN_MECHANISM: { type: 0x00000166, kind: 'mechanism' },
  CKA_MODIFIABLE: { type: 0x00000170, kind: 'boolean' },
  CKA_COPYABLE: { type: 0x00000171, kind: 'boolean' },
  CKA_DESTROYABLE: { type: 0x00000172, kind: 'boolean' },
  CKA_EC_PARAMS: { type: 0x00000180, kind: 'bytes' },
  CKA_EC_POINT: { type: 0x00000181, kind: 'bytes' },
  CKA_ALWAYS_AUTHENTICATE: { type: 0x00000202, kind: 'boolean' },
  CKA_WRAP_WITH_TRUSTED: { type: 0x00000210, kind: 'boolean' },
  CKA_OTP_FORMAT: { type: 0x00000220, kind: 'ulong' },
  CKA_OTP_LENGTH: { type: 0x00000221, kind: 'ulong' },
  CKA_OTP_TIME_INTERVAL: { type: 0x00000222, kind: 'ulong' },
  CKA_OTP_USER_FRIENDLY_MODE: { type: 0x00000223, kind: 'boolean' },
  CKA_OTP_CHALLENGE_REQUIREMENT: { type: 0x00000224, kind: 'ulong' },
  CKA_OTP_TIME_REQUIREMENT: { type: 0x00000225, kind: 'ulong' },
  CKA_OTP_COUNTER_REQUIREMENT: { type: 0x00000226, kind: 'ulong' },
  CKA_OTP_PIN_REQUIREMENT: { type: 0x00000227, kind: 'ulong' },
  CKA_OTP_USER_IDENTIFIER: { type: 0x0000022a, kind: 'text' },
  CKA_OTP_SERVICE_IDENTIFIER: { type: 0x0000022b, kind: 'text' },
  CKA_OTP_SERVICE_LOGO: { type: 0x0000022c, kind: 'bytes' },
  CKA_OTP_SERVICE_LOGO_TYPE: { type: 0x0000022d, kind: 'text' },
  CKA_OTP_COUNTER: { type: 0x0000022e, kind: 'bytes' },
  CKA_OTP_TIME: { type: 0x0000022f, kind: 'text' },
  CKA_GOSTR3410_PARAMS: { type: 0x00000250, kind: 'bytes' },
  CKA_GOSTR3411_PARAMS: { type: 0x00000251, kind: 'bytes' },
  CKA_GOST28147_PARAMS: { type: 0x00000252, kind: 'bytes' },
  CKA_HW_FEATURE_TYPE: { type: 0x00000300, kind: 'hardwareFeature' },
  CKA_RESET_ON_INIT: { type: 0x00000301, kind: 'boolean' },
  CKA_HAS_RESET: { type: 0x00000302, kind: 'boolean' },
  CKA_PIXEL_X: { type: 0x00000400, kind: 'ulong' },
  CKA_PIXEL_Y: { type: 0x00000401, kind: 'ulong' },
  CKA_RESOLUTION: { type: 0x00000402, kind: 'ulong' },
  CKA_CHAR_ROWS: { type: 0x00000403, kind: 'ulong' },
  CKA_CHAR_COLUMNS: { type: 0x00000404, kind: 'ulong' },
  CKA_COLOR: { type: 0x00000405, kind: 'boolean' },
  CKA_BITS_PER_PIXEL: { type: 0x00000406, kind: 'ulong' },
  CKA_CHAR_SETS: { type: 0x00000480, kind: 'text' },
  CKA_ENCODING_METHODS: { type: 0x00000481, kind: 'text' },
  CKA_MIME_TYPES: { type: 0x00000482, kind: 'text' },
  CKA_MECHANISM_TYPE: { type: 0x00000500, kind: 'mechanism' },
  CKA_REQUIRED_CMS_ATTRIBUTES: { type: 0x00000501, kind: 'bytes' },
  CKA_DEFAULT_CMS_ATTRIBUTES: { type: 0x00000502, kind: 'bytes' },
  CKA_SUPPORTED_CMS_ATTRIBUTES: { type: 0x00000503, kind: 'bytes' },
  CKA_PROFILE_ID: { type: 0x00000601, kind: 'ulong' },
  CKA_HSS_LEVELS: { type: 0x00000617, kind: 'ulong' },
  CKA_HSS_LMS_TYPE: { type: 0x00000618, kind: 'ulong' },
  CKA_HSS_LMOTS_TYPE: { type: 0x00000619, kind: 'ulong' },
  CKA_HSS_KEYS_REMAINING: { type: 0x0000061c, kind: 'ulong' },
  CKA_ALLOWED_MECHANISMS: { type: 0x40000600, kind: 'mechanisms' },
} as const satisfies Readonly<Record<string, { type: number; kind: AttributeKind }>>

/** What kind of value an attribute takes, and so how it is packed and read. */
export type AttributeKind =
  | 'objectClass'
  | 'keyType'
  | 'certificateType'
  | 'hardwareFeature'
  | 'mechanism'
  | 'mechanisms'
  | 'boolean'
  | 'ulong'
  | 'text'
  | 'identifier'
  | 'date'
  | 'bytes'

/** The name of an attribute in the standard, such as `CKA_LABEL`. */
export type AttributeName = keyof typeof ATTRIBUTES

/**
 * Attributes whose value is a template itself. They hold pointers, which the packed form has no room for, and are not supported.
 */
export const NESTED_TEMPLATE_ATTRIBUTES = {
  CKA_WRAP_TEMPLATE: 0x40000211,
  CKA_UNWRAP_TEMPLATE: 0x40000212,
  CKA_DERIVE_TEMPLATE: 0x40000213,
} as const

/** Set in the type of an attribute whose value is an array (CKF_ARRAY_ATTRIBUTE). */
export const ARRAY_ATTRIBUTE_FLAG = 0x4000_0000
