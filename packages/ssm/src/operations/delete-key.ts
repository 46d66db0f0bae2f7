import { refuseReserved } from '../crypto/labels.js'
import { keyWithExactId } from '../hsm/choose-key.js'
import type { Hsm } from '../hsm/hsm.js'
import type { LabelKeys } from '../hsm/label-keys.js'
import { visibleKeys } from '../hsm/stored-key.js'

/**
 * Destroys the key that has a label and an id.
 *
 * @throws Problem VALIDATION_FAILED on a reserved label, KEY_NOT_FOUND, KEY_AMBIGUOUS
 */
export function deleteKey(hsm: Hsm, keys: LabelKeys, label: string, id: number): Promise<void> {
  refuseReserved(label)
  return keys.change(label, async () => {
    const found = await hsm.findKeys(label)
    const key = keyWithExactId(label, id)(visibleKeys(found))
    // first what an update that broke off has left: it would take the key's place
    for (const waiting of found)
      if (waiting.replacement && waiting.id === id && waiting !== key) await hsm.destroyKey(waiting)
    await keys.destroy(key)
  })
}
