import { CryptokiError } from 'pkcs11-pool'
import type { Hsm } from '../hsm/hsm.js'

/** How often a key is made where the token fails without a reason. */
const ATTEMPTS = 3
/** The last of them is a reason on a token that means it, and is the same each time then. */
const WITHOUT_REASON = new Set(['CKR_GENERAL_ERROR', 'CKR_FUNCTION_FAILED', 'CKR_TEMPLATE_INCONSISTENT'])

/**
 * Makes a key, and makes it again where the token failed without saying why and has no such key. SoftHSM 2.6.1 was seen to answer some in
 * a hundred C_GenerateKey and C_CreateObject so while other sessions were searched, one in ten of these with CKR_TEMPLATE_INCONSISTENT, and
 * to have made none of the keys; what its cause is in there was not found out. Only under the label's lock, so that whoever looks sees what
 * this call did.
 */
export async function makeKey<T>(
  hsm: Pick<Hsm, 'findKeys'>,
  { label, ckaId }: { label: string; ckaId: Buffer },
  make: () => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await make()
    } catch (error) {
      if (attempt === ATTEMPTS || !(error instanceof CryptokiError) || !WITHOUT_REASON.has(error.rvName)) throw error
      const found = await hsm.findKeys(label)
      if (found.some((key) => key.ckaId.equals(ckaId))) throw error
    }
  }
}
