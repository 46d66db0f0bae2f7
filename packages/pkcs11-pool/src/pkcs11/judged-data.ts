import { CryptokiError, type Pkcs11PoolError } from '../errors.js'
import { describeRv } from './return-values.js'

/**
 * Functions that judge data from outside. Tokens are known to answer GENERAL_ERROR, DEVICE_ERROR and the like to a wrong padding, and who
 * sends us data must not be able to cost us sessions, or to open the breaker, with it.
 */
const JUDGE_DATA: ReadonlySet<string> = new Set(['C_Decrypt', 'C_Verify', 'C_UnwrapKey'])

/** Whether what a function answers is about the data that it was given as much as about the token. */
export function judgesData(fn: string): boolean {
  return JUDGE_DATA.has(fn)
}

/** Whether a failure that says something of its session or token may as well be about the data: whether they really fail, a look at them tells. */
export function mayBeAboutData(error: Pkcs11PoolError): boolean {
  if (!(error instanceof CryptokiError) || !judgesData(error.fn)) return false
  const { category } = error
  const { shows, unnamed = false } = describeRv(error.rv)
  return shows === undefined && (unnamed || category === 'token' || category === 'module')
}
