import { CryptokiError, type Pkcs11PoolError } from '../errors.js'
import { describeRv, type Shown } from '../pkcs11/return-values.js'

/**
 * What a failed call says of its token: nothing; that it should be looked at, if more do; that something is wrong with it, if more do; or
 * what it shows at once.
 */
export type Evidence = 'nothing' | 'doubt' | 'failure' | Shown

/**
 * Functions that judge data from outside. Tokens are known to answer DEVICE_ERROR and the like to a wrong padding, and who sends us data
 * must not be able to open the breaker with it. Whether the token really fails, a look at it tells.
 */
const JUDGE_DATA: ReadonlySet<string> = new Set(['C_Decrypt', 'C_Verify', 'C_UnwrapKey'])

/**
 * By category: what the token or its module did, and calls given up inside it; nothing that a caller, a session or a PIN can do. Errors that
 * the module cannot name may be anything: some answer nothing else when their token is gone.
 */
export function evidenceOf(error: Pkcs11PoolError): Evidence {
  const { code, category } = error
  if (!(error instanceof CryptokiError)) {
    return code === 'OPERATION_TIMEOUT' && category === 'token' ? 'failure' : 'nothing'
  }
  const { shows, unnamed = false } = describeRv(error.rv)
  if (shows !== undefined) return shows
  if (unnamed) return 'doubt'
  if (category !== 'token' && category !== 'module') return 'nothing'
  return judgesData(error.fn) ? 'doubt' : 'failure'
}

/** Whether what a function answers is about the data that it was given as much as about the token. */
export function judgesData(fn: string): boolean {
  return JUDGE_DATA.has(fn)
}
