import type { MechanismName } from './mechanism-types.js'
import type { CertificateTypeName, HardwareFeatureName, KeyTypeName, ObjectClassName } from './object-classes.js'

/**
 * Attributes of an object: to make it with, to set, or to find it by. In the place of the standard's names a number is a
 * vendor's own, and a vendor's own attribute goes by its number as the key, with the bytes of its value.
 *
 * @example
 * const template: Template = {
 *   CKA_CLASS: 'CKO_SECRET_KEY',
 *   CKA_KEY_TYPE: 'CKK_AES',
 *   CKA_VALUE_LEN: 32,
 *   CKA_LABEL: 'k4',
 *   CKA_ID: 1,
 *   CKA_TOKEN: true,
 * }
 *
 * Source: PKCS#11 2.40, section 4 "Objects", with what 3.0 and 3.1 added.
 */
export interface Template {
  // every object
  /** what kind of object it is */
  CKA_CLASS?: ObjectClassName | number
  /** stored on the token; false is a session object, which dies with its session */
  CKA_TOKEN?: boolean
  /** visible after login only */
  CKA_PRIVATE?: boolean
  /** a name for people */
  CKA_LABEL?: string
  /** given by the token, never set (3.0) */
  CKA_UNIQUE_ID?: string
  CKA_MODIFIABLE?: boolean
  CKA_COPYABLE?: boolean
  CKA_DESTROYABLE?: boolean
  // data
  CKA_APPLICATION?: string
  /** DER of an object identifier */
  CKA_OBJECT_ID?: Uint8Array
  /** a secret or private key’s value, a certificate’s DER, data */
  CKA_VALUE?: Uint8Array
  // keys
  /** what algorithm the key is for */
  CKA_KEY_TYPE?: KeyTypeName | number
  /** a number means its 4 bytes, big-endian */
  CKA_ID?: Uint8Array | number
  /** the date in UTC, or `'YYYY-MM-DD'`, or `''` for none; read as a string */
  CKA_START_DATE?: Date | string
  /** the date in UTC, or `'YYYY-MM-DD'`, or `''` for none; read as a string */
  CKA_END_DATE?: Date | string
  CKA_DERIVE?: boolean
  /** made on the token; never set */
  CKA_LOCAL?: boolean
  /** what it was made with; never set */
  CKA_KEY_GEN_MECHANISM?: MechanismName | number
  /** the only mechanisms the key may be used with */
  CKA_ALLOWED_MECHANISMS?: readonly (MechanismName | number)[]
  /** DER of a name */
  CKA_SUBJECT?: Uint8Array
  /** DER of SubjectPublicKeyInfo */
  CKA_PUBLIC_KEY_INFO?: Uint8Array
  // what a key may do
  CKA_ENCRYPT?: boolean
  CKA_DECRYPT?: boolean
  CKA_SIGN?: boolean
  CKA_SIGN_RECOVER?: boolean
  CKA_VERIFY?: boolean
  CKA_VERIFY_RECOVER?: boolean
  CKA_WRAP?: boolean
  CKA_UNWRAP?: boolean
  // how a secret or private key is guarded
  /** its value never leaves the token in the clear */
  CKA_SENSITIVE?: boolean
  /** it may be wrapped */
  CKA_EXTRACTABLE?: boolean
  /** always was sensitive; never set */
  CKA_ALWAYS_SENSITIVE?: boolean
  /** never was extractable; never set */
  CKA_NEVER_EXTRACTABLE?: boolean
  /** it may be wrapped only with a key that is CKA_TRUSTED */
  CKA_WRAP_WITH_TRUSTED?: boolean
  /** each use asks for the PIN */
  CKA_ALWAYS_AUTHENTICATE?: boolean
  /** a certificate or wrapping key to rely on; set by the security officer */
  CKA_TRUSTED?: boolean
  /** the key’s checksum, mostly 3 bytes */
  CKA_CHECK_VALUE?: Uint8Array
  // secret keys
  /** length of a key in bytes */
  CKA_VALUE_LEN?: number
  // RSA
  /** big-endian */
  CKA_MODULUS?: Uint8Array
  /** length of the modulus in bits */
  CKA_MODULUS_BITS?: number
  /** big-endian */
  CKA_PUBLIC_EXPONENT?: Uint8Array
  CKA_PRIVATE_EXPONENT?: Uint8Array
  CKA_PRIME_1?: Uint8Array
  CKA_PRIME_2?: Uint8Array
  CKA_EXPONENT_1?: Uint8Array
  CKA_EXPONENT_2?: Uint8Array
  CKA_COEFFICIENT?: Uint8Array
  // elliptic curves
  /** the curve: its object identifier in DER */
  CKA_EC_PARAMS?: Uint8Array
  /** the public point: DER of an octet string with 04 x y */
  CKA_EC_POINT?: Uint8Array
  // DSA and Diffie-Hellman
  CKA_PRIME?: Uint8Array
  CKA_SUBPRIME?: Uint8Array
  CKA_BASE?: Uint8Array
  CKA_PRIME_BITS?: number
  CKA_SUBPRIME_BITS?: number
  CKA_VALUE_BITS?: number
  // certificates
  CKA_CERTIFICATE_TYPE?: CertificateTypeName | number
  /** 0 unspecified, 1 token user, 2 authority, 3 other entity */
  CKA_CERTIFICATE_CATEGORY?: number
  /** DER */
  CKA_ISSUER?: Uint8Array
  /** DER of an integer */
  CKA_SERIAL_NUMBER?: Uint8Array
  CKA_URL?: string
  CKA_HASH_OF_SUBJECT_PUBLIC_KEY?: Uint8Array
  CKA_HASH_OF_ISSUER_PUBLIC_KEY?: Uint8Array
  CKA_NAME_HASH_ALGORITHM?: MechanismName | number
  CKA_JAVA_MIDP_SECURITY_DOMAIN?: number
  CKA_AC_ISSUER?: Uint8Array
  CKA_OWNER?: Uint8Array
  CKA_ATTR_TYPES?: Uint8Array
  // GOST
  CKA_GOSTR3410_PARAMS?: Uint8Array
  CKA_GOSTR3411_PARAMS?: Uint8Array
  CKA_GOST28147_PARAMS?: Uint8Array
  // hash-based signatures
  CKA_HSS_LEVELS?: number
  CKA_HSS_LMS_TYPE?: number
  CKA_HSS_LMOTS_TYPE?: number
  CKA_HSS_KEYS_REMAINING?: number
  // one-time passwords
  CKA_OTP_FORMAT?: number
  CKA_OTP_LENGTH?: number
  CKA_OTP_TIME_INTERVAL?: number
  CKA_OTP_USER_FRIENDLY_MODE?: boolean
  CKA_OTP_CHALLENGE_REQUIREMENT?: number
  CKA_OTP_TIME_REQUIREMENT?: number
  CKA_OTP_COUNTER_REQUIREMENT?: number
  CKA_OTP_PIN_REQUIREMENT?: number
  CKA_OTP_USER_IDENTIFIER?: string
  CKA_OTP_SERVICE_IDENTIFIER?: string
  CKA_OTP_SERVICE_LOGO?: Uint8Array
  CKA_OTP_SERVICE_LOGO_TYPE?: string
  CKA_OTP_COUNTER?: Uint8Array
  CKA_OTP_TIME?: string
  // hardware features, mechanisms and profiles
  CKA_HW_FEATURE_TYPE?: HardwareFeatureName | number
  CKA_RESET_ON_INIT?: boolean
  CKA_HAS_RESET?: boolean
  CKA_PIXEL_X?: number
  CKA_PIXEL_Y?: number
  CKA_RESOLUTION?: number
  CKA_CHAR_ROWS?: number
  CKA_CHAR_COLUMNS?: number
  CKA_COLOR?: boolean
  CKA_BITS_PER_PIXEL?: number
  CKA_CHAR_SETS?: string
  CKA_ENCODING_METHODS?: string
  CKA_MIME_TYPES?: string
  CKA_MECHANISM_TYPE?: MechanismName | number
  CKA_REQUIRED_CMS_ATTRIBUTES?: Uint8Array
  CKA_DEFAULT_CMS_ATTRIBUTES?: Uint8Array
  CKA_SUPPORTED_CMS_ATTRIBUTES?: Uint8Array
  CKA_PROFILE_ID?: number
  /** a vendor’s own attribute, by its type (0x80000000 and up) */
  [vendorType: number]: Uint8Array
}
