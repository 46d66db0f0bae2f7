import { randomBytes } from 'node:crypto'
import { OWN_COPY_LABEL } from '../crypto/labels.js'
import type { Hsm } from '../hsm/hsm.js'
import type { LabelKeys } from '../hsm/label-keys.js'
import { problemFromError } from '../problems/from-error.js'
import { Problem } from '../problems/problem.js'

const IV_BYTES = 16

/**
 * The value of a key encrypted under SSM_ENC_KEY, its IV first, or nothing where the token has no such key. Clients replace their own copy
 * by it, so it is made before the key is stored: a key is never stored without the copy it should have.
 *
 * @throws Problem `failure`, HSM_UNAVAILABLE, HSM_TIMEOUT and the like
 */
export async function ownCopy(
  hsm: Hsm,
  keys: LabelKeys,
  value: Uint8Array,
  failure: 'KEY_STORAGE_ERROR' | 'KEY_UPDATE_ERROR',
): Promise<Buffer> {
  const iv = randomBytes(IV_BYTES)
  try {
    const used = await keys.useAny(OWN_COPY_LABEL, (key) =>
      hsm.encrypt(key, { mechanism: 'CKM_AES_CBC_PAD', iv }, value),
    )
    return Buffer.concat([iv, used.value])
  } catch (error) {
    const { code, status, headers } = problemFromError(error, failure)
    if (code === 'KEY_NOT_FOUND') return Buffer.alloc(0)
    // of whatever is wrong with the service's own key, the caller is innocent
    throw new Problem(
      status < 500 ? failure : code,
      `the copy under ${OWN_COPY_LABEL} could not be made, so the token was left as it is; an operator must look at that key`,
      { cause: error, headers },
    )
  }
}
