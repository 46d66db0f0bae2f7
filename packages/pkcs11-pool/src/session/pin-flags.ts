import { Pkcs11PoolError } from '../errors.js'
import { hasFlag, TOKEN_FLAGS } from '../pkcs11/flags.js'
import type { NativeTokenInfo } from '../pkcs11/protocol.js'
import type { Credentials } from './credentials.js'

const PIN_FLAGS = [
  'CKF_USER_PIN_COUNT_LOW',
  'CKF_USER_PIN_FINAL_TRY',
  'CKF_USER_PIN_LOCKED',
  'CKF_USER_PIN_TO_BE_CHANGED',
] as const satisfies (keyof typeof TOKEN_FLAGS)[]

/** What a token may say of its user PIN; it may also always say nothing (PKCS#11 2.40 section 3.2, CK_TOKEN_INFO). */
export type PinFlag = (typeof PIN_FLAGS)[number]

/** Those flags of the user PIN that are set. */
export function pinFlags({ flags }: NativeTokenInfo): PinFlag[] {
  return PIN_FLAGS.filter((name) => hasFlag(flags, TOKEN_FLAGS[name]))
}

/** Latches where the token says that a wrong PIN would be one too many. @throws CREDENTIALS_REJECTED, TOKEN_NOT_INITIALIZED */
export function checkPinFlags(token: NativeTokenInfo, credentials: Credentials): void {
  if (!hasFlag(token.flags, TOKEN_FLAGS.CKF_USER_PIN_INITIALIZED)) {
    throw new Pkcs11PoolError(
      'TOKEN_NOT_INITIALIZED',
      `the user PIN of token "${token.label}" is not set; initialise it before using the token`,
    )
  }
  if (hasFlag(token.flags, TOKEN_FLAGS.CKF_USER_PIN_LOCKED)) {
    throw credentials.reject(
      `the user PIN of token "${token.label}" is locked; unlock it and give the PIN again with setCredentials. the PIN was not sent`,
    )
  }
  if (hasFlag(token.flags, TOKEN_FLAGS.CKF_USER_PIN_FINAL_TRY) && !credentials.accepted) {
    throw credentials.reject(
      `token "${token.label}" has one try left before its PIN locks, and this PIN has not been accepted yet; log in once by ` +
        'hand with the right PIN, and give it again with setCredentials. the PIN was not sent',
    )
  }
}
