import type { KeyKind } from '../crypto/key-kinds.js'
import type { Hsm } from '../hsm/hsm.js'
import { encodeKeyId } from '../hsm/key-id.js'
import type { LabelKeys } from '../hsm/label-keys.js'
import { freeId } from './free-id.js'

/** A key that was made. */
export interface GeneratedKey {
  handle: number | bigint
  id: number
}

/**
 * Makes a key under the label of its kind. The search for the id and the making are one step under the label's lock, so of two requests
 * for one id one wins, and id 0 (the next free one) never gives the same id twice. Another process on the same token is not held off by
 * it: what it makes at the same moment shows as KEY_AMBIGUOUS later.
 *
 * @throws Problem KEY_EXISTS; KEY_GENERATION_ERROR where no id is left
 */
export function generateKey(hsm: Hsm, keys: LabelKeys, id: number, kind: KeyKind): Promise<GeneratedKey> {
  const { label, family, bits } = kind
  return keys.change(label, async () => {
    const chosen = freeId(await hsm.findKeys(label), label, id, 'KEY_GENERATION_ERROR')
    return { handle: await hsm.generateKey({ label, ckaId: encodeKeyId(chosen), family, bits }), id: chosen }
  })
}
