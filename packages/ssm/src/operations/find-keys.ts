import { isReserved, refuseReserved } from '../crypto/labels.js'
import { keyWithId } from '../hsm/choose-key.js'
import type { Hsm } from '../hsm/hsm.js'
import { type KeyDetails, visibleKeys } from '../hsm/stored-key.js'

/**
 * The key with an id, or the only one where it is 0.
 *
 * @throws Problem VALIDATION_FAILED on a reserved label, KEY_NOT_FOUND, KEY_AMBIGUOUS
 */
export async function findKey(hsm: Hsm, label: string, id: number): Promise<KeyDetails> {
  return keyWithId(label, id)(await findKeys(hsm, label))
}

/** The keys under a label, by id. @throws Problem VALIDATION_FAILED on a reserved label */
export async function findKeys(hsm: Hsm, label: string): Promise<KeyDetails[]> {
  refuseReserved(label)
  return inOrder(await hsm.findKeys(label))
}

/** The keys under each label there is, those of the service itself left out. */
export async function findAllKeys(hsm: Hsm): Promise<Map<string, KeyDetails[]>> {
  const byLabel = new Map<string, KeyDetails[]>()
  for (const key of await hsm.findAllKeys()) {
    if (isReserved(key.label)) continue
    const keys = byLabel.get(key.label)
    if (keys === undefined) byLabel.set(key.label, [key])
    else keys.push(key)
  }
  for (const [label, keys] of byLabel) byLabel.set(label, inOrder(keys))
  return byLabel
}

function inOrder(keys: readonly KeyDetails[]): KeyDetails[] {
  return visibleKeys(keys).sort((a, b) => a.id - b.id)
}
