import { CATEGORY_HELP, CryptokiError, type ErrorCode } from '../errors.js'
import { hex32 } from './numbers.js'
import { describeRv, type ReturnValueCategory } from './return-values.js'

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
  const message = `${fn} failed with ${name} (${hex32(rv)})${about}: ${meaning}; ${action ?? CATEGORY_HELP[category].action}`
  return new CryptokiError(errorCode(name, category), message, { rv, rvName: name, fn, category })
}

function errorCode(name: string, category: ReturnValueCategory): ErrorCode {
  if (name === 'CKR_MECHANISM_INVALID') return 'MECHANISM_NOT_SUPPORTED'
  return category === 'credentials' ? 'CREDENTIALS_REJECTED' : 'CRYPTOKI'
}
