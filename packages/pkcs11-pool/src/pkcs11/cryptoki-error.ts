import { CryptokiError, type ErrorCode } from '../errors.js'
import { hex32 } from './numbers.js'
import { describeRv, type ReturnValueCategory } from './return-values.js'

/** What to do where the table of return values has nothing more precise. */
const NEXT_STEP: Record<ReturnValueCategory, string> = {
  caller: 'correct the call',
  session: 'the session is discarded; try again on another one',
  login: 'a new login is made',
  token: 'check that the token is present and reachable',
  module: 'the module has to be initialised again',
  credentials: 'this PIN is not sent again; give the right one with setCredentials',
  overload: 'try again later, with less load',
}

/**
 * The error for a return value other than CKR_OK: code `MECHANISM_NOT_SUPPORTED` for CKR_MECHANISM_INVALID,
 * `CREDENTIALS_REJECTED` for what concerns the PIN, else `CRYPTOKI`.
 *
 * @param rv - what the function returned
 * @param fn - the function, such as `C_Encrypt`
 * @param context - what it was about, such as `key "k4"`; never a secret
 */
export function cryptokiError(rv: number, fn: string, context?: string): CryptokiError {
  const { name, category, meaning, action } = describeRv(rv)
  const about = context === undefined ? '' : ` for ${context}`
  const message = `${fn} failed with ${name} (${hex32(rv)})${about}: ${meaning}; ${action ?? NEXT_STEP[category]}`
  return new CryptokiError(errorCode(name, category), message, { rv, rvName: name, fn, category })
}

function errorCode(name: string, category: ReturnValueCategory): ErrorCode {
  if (name === 'CKR_MECHANISM_INVALID') return 'MECHANISM_NOT_SUPPORTED'
  return category === 'credentials' ? 'CREDENTIALS_REJECTED' : 'CRYPTOKI'
}
