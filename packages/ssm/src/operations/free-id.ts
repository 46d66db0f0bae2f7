import { MAX_KEY_ID } from '../hsm/key-id.js'
import type { StoredKey } from '../hsm/stored-key.js'
import { Problem } from '../problems/problem.js'

/**
 * The id for a key that is to be made: the one asked for, or for 0 the highest under the label and one more.
 *
 * @throws Problem KEY_EXISTS where it is taken; `failure` where no id is left above the highest
 */
export function freeId(
  keys: readonly StoredKey[],
  label: string,
  id: number,
  failure: 'KEY_GENERATION_ERROR' | 'KEY_STORAGE_ERROR',
): number {
  if (id !== 0 && keys.some((key) => key.id === id)) {
    throw new Problem('KEY_EXISTS', `id: ${id} is taken under ${label}; choose another, or 0 for the next free one`)
  }
  const chosen = id === 0 ? keys.reduce((highest, key) => Math.max(highest, key.id), 0) + 1 : id
  if (chosen > MAX_KEY_ID) {
    throw new Problem(failure, `no id is left above the highest under ${label}; give a free one`)
  }
  return chosen
}
