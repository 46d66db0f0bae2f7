import { CryptokiError, type Pkcs11PoolError } from '../errors.js'
import { mayBeAboutData } from '../pkcs11/judged-data.js'
import { describeRv, type Shown } from '../pkcs11/return-values.js'

/**
 * What a failed call says of its token: nothing; that it should be looked at, if more do; that something is wrong with it, if more do; or
 * what it shows at once.
 */
export type Evidence = 'nothing' | 'doubt' | 'failure' | Shown

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
  return mayBeAboutData(error) ? 'doubt' : 'failure'
}
