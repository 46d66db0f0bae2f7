/** Slot flags. Source: PKCS#11 2.40, section 3.2, CK_SLOT_INFO. */
export const SLOT_FLAGS = {
  CKF_TOKEN_PRESENT: 0x1,
  CKF_REMOVABLE_DEVICE: 0x2,
  CKF_HW_SLOT: 0x4,
} as const

/** Token flags. Source: PKCS#11 2.40, section 3.2, CK_TOKEN_INFO. */
export const TOKEN_FLAGS = {
  CKF_RNG: 0x1,
  CKF_WRITE_PROTECTED: 0x2,
  CKF_LOGIN_REQUIRED: 0x4,
  CKF_USER_PIN_INITIALIZED: 0x8,
  CKF_RESTORE_KEY_NOT_NEEDED: 0x20,
  CKF_CLOCK_ON_TOKEN: 0x40,
  CKF_PROTECTED_AUTHENTICATION_PATH: 0x100,
  CKF_DUAL_CRYPTO_OPERATIONS: 0x200,
  CKF_TOKEN_INITIALIZED: 0x400,
  CKF_SECONDARY_AUTHENTICATION: 0x800,
  CKF_USER_PIN_COUNT_LOW: 0x1_0000,
  CKF_USER_PIN_FINAL_TRY: 0x2_0000,
  CKF_USER_PIN_LOCKED: 0x4_0000,
  CKF_USER_PIN_TO_BE_CHANGED: 0x8_0000,
  CKF_SO_PIN_COUNT_LOW: 0x10_0000,
  CKF_SO_PIN_FINAL_TRY: 0x20_0000,
  CKF_SO_PIN_LOCKED: 0x40_0000,
  CKF_SO_PIN_TO_BE_CHANGED: 0x80_0000,
  CKF_ERROR_STATE: 0x100_0000,
} as const

/** Session flags. Source: PKCS#11 2.40, section 3.3, CK_SESSION_INFO. */
export const SESSION_FLAGS = {
  CKF_RW_SESSION: 0x2,
  CKF_SERIAL_SESSION: 0x4,
} as const

/** Mechanism flags. Source: PKCS#11 2.40, section 3.5, CK_MECHANISM_INFO; the message and EC_CURVENAME ones of 3.0. */
export const MECHANISM_FLAGS = {
  CKF_HW: 0x1,
  CKF_MESSAGE_ENCRYPT: 0x2,
  CKF_MESSAGE_DECRYPT: 0x4,
  CKF_MESSAGE_SIGN: 0x8,
  CKF_MESSAGE_VERIFY: 0x10,
  CKF_MULTI_MESSAGE: 0x20,
  CKF_FIND_OBJECTS: 0x40,
  CKF_ENCRYPT: 0x100,
  CKF_DECRYPT: 0x200,
  CKF_DIGEST: 0x400,
  CKF_SIGN: 0x800,
  CKF_SIGN_RECOVER: 0x1000,
  CKF_VERIFY: 0x2000,
  CKF_VERIFY_RECOVER: 0x4000,
  CKF_GENERATE: 0x8000,
  CKF_GENERATE_KEY_PAIR: 0x1_0000,
  CKF_WRAP: 0x2_0000,
  CKF_UNWRAP: 0x4_0000,
  CKF_DERIVE: 0x8_0000,
  CKF_EC_F_P: 0x10_0000,
  CKF_EC_F_2M: 0x20_0000,
  CKF_EC_ECPARAMETERS: 0x40_0000,
  CKF_EC_NAMEDCURVE: 0x80_0000,
  CKF_EC_UNCOMPRESS: 0x100_0000,
  CKF_EC_COMPRESS: 0x200_0000,
  CKF_EC_CURVENAME: 0x400_0000,
  CKF_EXTENSION: 0x8000_0000,
} as const

/** Users who can log in. Source: PKCS#11 2.40, section 3.3, CK_USER_TYPE. */
export const USER_TYPES = {
  CKU_SO: 0,
  CKU_USER: 1,
  CKU_CONTEXT_SPECIFIC: 2,
} as const

/** What a session may do, by who is logged in. Source: PKCS#11 2.40, section 3.3, CK_STATE. */
export const SESSION_STATES = {
  CKS_RO_PUBLIC_SESSION: 0,
  CKS_RO_USER_FUNCTIONS: 1,
  CKS_RW_PUBLIC_SESSION: 2,
  CKS_RW_USER_FUNCTIONS: 3,
  CKS_RW_SO_FUNCTIONS: 4,
} as const

export type SlotFlagName = keyof typeof SLOT_FLAGS
export type TokenFlagName = keyof typeof TOKEN_FLAGS
export type MechanismFlagName = keyof typeof MECHANISM_FLAGS

/** Whether a flag is set. Flags are unsigned: bit 31 (CKF_EXTENSION) counts. */
export function hasFlag(flags: number, flag: number): boolean {
  return (flags & flag) >>> 0 === flag
}

/** The names of the flags that are set, in the order of the table; bits without a name are left out. */
export function flagNames<Name extends string>(flags: number, table: Readonly<Record<Name, number>>): Name[] {
  return (Object.keys(table) as Name[]).filter((name) => hasFlag(flags, table[name]))
}
