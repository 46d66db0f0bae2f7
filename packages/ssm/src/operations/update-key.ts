import { CryptokiError, Pkcs11PoolError } from 'pkcs11-pool'
import { keyWithExactId } from '../hsm/choose-key.js'
import type { Hsm } from '../hsm/hsm.js'
import { encodeKeyId, encodeReplacementId } from '../hsm/key-id.js'
import type { LabelKeys } from '../hsm/label-keys.js'
import { type KeyDetails, type StoredKey, visibleKeys } from '../hsm/stored-key.js'
import { problemFromError } from '../problems/from-error.js'
import { Problem } from '../problems/problem.js'
import type { ExternalKey, StoredExternalKey } from './external-key.js'
import { makeKey } from './make-key.js'
import { ownCopy } from './own-copy.js'

const OLD_STAYS = 'the old key stays in use'

/**
 * Replaces an external key by another with its label and id. The new one is made first, with a CKA_ID by which clients see it only when
 * the old one is gone; then the old one is destroyed, and the new one gets the id as every key has it. Wherever this breaks off, the end of
 * the process included, one of the two is there and serves.
 *
 * @throws Problem KEY_NOT_FOUND, KEY_AMBIGUOUS; KEY_UPDATE_ERROR, HSM_UNAVAILABLE and the like, saying which key is in use
 */
export async function updateKey(hsm: Hsm, keys: LabelKeys, key: ExternalKey): Promise<StoredExternalKey> {
  const { label, id, family, value } = key
  const copy = await ownCopy(hsm, keys, value, 'KEY_UPDATE_ERROR')
  const handle = await keys.change(label, async () => {
    const found = await hsm.findKeys(label)
    const old = keyWithExactId(label, id)(visibleKeys(found))
    // where the last update could not give the key its id, that id is free for this one
    const ckaId = old.replacement ? encodeKeyId(id) : encodeReplacementId(id)
    const made = await saying(OLD_STAYS, async () => {
      await destroyLeftovers(hsm, found, old)
      const fresh = { label, ckaId, family, value }
      return makeKey(hsm, fresh, () => hsm.importKey(fresh))
    })
    const fresh: StoredKey = { label, id, ckaId, private: true }
    await destroyOld(hsm, keys, old, fresh)
    // the key serves by either id: that it could not be given the usual one is made good by the next update
    if (!old.replacement) await hsm.changeKeyId(fresh, encodeKeyId(id)).catch(() => {})
    return made
  })
  return { handle, ownCopy: copy }
}

/** Of an update that broke off before the old key was gone, a key is left that nobody has seen. */
async function destroyLeftovers(hsm: Hsm, found: readonly KeyDetails[], old: KeyDetails): Promise<void> {
  for (const key of found) if (key.id === old.id && key !== old) await hsm.destroyKey(key)
}

async function destroyOld(hsm: Hsm, keys: LabelKeys, old: KeyDetails, fresh: StoredKey): Promise<void> {
  if (old.replacement) {
    return saying('the new key is in use, and the old one could not be removed', () => keys.destroy(old))
  }
  try {
    await keys.destroy(old)
  } catch (error) {
    if (error instanceof Pkcs11PoolError && error.code === 'KEY_NOT_FOUND') return
    // after a timeout the old key may still go, and then the new one has to be there
    if (!(error instanceof CryptokiError))
      throw explained(error, `${OLD_STAYS} while it is there, and then the new one`)
    const found = await saying(`${OLD_STAYS} while it is there, and then the new one`, () => hsm.findKeys(old.label))
    if (!found.some((key) => key.ckaId.equals(old.ckaId))) return
    await hsm.destroyKey(fresh).catch(() => {})
    throw explained(error, OLD_STAYS)
  }
}

async function saying<T>(outcome: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw explained(error, outcome)
  }
}

/** The problem that an error is, and what it means for the key. */
function explained(error: unknown, outcome: string): Problem {
  const { code, message, headers } = problemFromError(error, 'KEY_UPDATE_ERROR')
  return new Problem(code, `${message}; ${outcome}`, { cause: error, headers })
}
