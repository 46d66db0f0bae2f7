import type { Hsm } from '../hsm/hsm.js'
import { encodeKeyId } from '../hsm/key-id.js'
import type { LabelKeys } from '../hsm/label-keys.js'
import type { ExternalKey, StoredExternalKey } from './external-key.js'
import { freeId } from './free-id.js'
import { makeKey } from './make-key.js'
import { ownCopy } from './own-copy.js'

/**
 * Puts an external key on the token; id 0 means the next free one.
 *
 * @throws Problem KEY_EXISTS; KEY_STORAGE_ERROR where no id is left, or no copy can be made
 */
export async function storeKey(hsm: Hsm, keys: LabelKeys, key: ExternalKey): Promise<StoredExternalKey> {
  const { label, id, family, value } = key
  const copy = await ownCopy(hsm, keys, value, 'KEY_STORAGE_ERROR')
  const handle = await keys.change(label, async () => {
    const chosen = freeId(await hsm.findKeys(label), label, id, 'KEY_STORAGE_ERROR')
    const made = { label, ckaId: encodeKeyId(chosen), family, value }
    return makeKey(hsm, made, () => hsm.importKey(made))
  })
  return { handle, ownCopy: copy }
}
