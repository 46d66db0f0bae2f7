import type { KeyKind } from '../crypto/key-kinds.js'
import type { Hsm } from '../hsm/hsm.js'
import { encodeKeyId } from '../hsm/key-id.js'
import type { LabelKeys } from '../hsm/label-keys.js'
import { freeId } from './free-id.js'
import { makeKey } from './make-key.js'

/** A key that was made. */
export interface GeneratedKey {
  handle: number | bigint
  id: number
}

/**
 * Makes a key under the label of its kind. The search for the id and the making are one step under the label's lock, so of two requests
 * for one id one wins, and id 0 (the next free one) never gives the same id twice. A process on the same token that is no replica of this
 * one is not held off by it: what it makes at the same moment shows as KEY_AMBIGUOUS later.
 *
 * @throws Problem KEY_EXISTS; KEY_GENERATION_ERROR where no id is left
 */
export function generateKey(hsm: Hsm, keys: LabelKeys, id: number, kind: KeyKind): Promise<GeneratedKey> {
  const { label, family, bits } = kind
  return keys.change(label, async () => {
    const chosen = freeId(await hsm.findKeys(label), label, id, 'KEY_GENERATION_ERROR')
    const key = { label, ckaId: encodeKeyId(chosen), family, bits }
    return { handle: await makeKey(hsm, key, () => hsm.generateKey(key)), id: chosen }
  })
}
