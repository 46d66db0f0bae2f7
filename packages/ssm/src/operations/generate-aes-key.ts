import type { Hsm } from '../hsm/hsm.js'
import type { KeyDirectory } from '../hsm/key-directory.js'
import { MAX_KEY_ID } from '../hsm/key-id.js'
import type { LabelLocks } from '../hsm/label-locks.js'
import { Problem } from '../problems/problem.js'

/** A key that was made. */
export interface GeneratedKey {
  handle: number | bigint
  id: number
}

/**
 * Makes an AES key under the label of its size. The search for the id and the making are one step under the label's lock, so of
 * two requests for one id one wins, and id 0 (the next free one) never gives the same id twice. Another process on the same token is
 * not held off by it: what it makes at the same moment shows as KEY_AMBIGUOUS later.
 *
 * @throws Problem KEY_EXISTS; KEY_GENERATION_ERROR where no id is left
 */
export async function generateAesKey(
  hsm: Hsm,
  directory: KeyDirectory,
  locks: LabelLocks,
  id: number,
  bits: 128 | 256,
): Promise<GeneratedKey> {
  const label = bits === 128 ? 'KEY_ENCRYPTION_AES128' : 'KEY_ENCRYPTION_AES256'
  return locks.run(label, async () => {
    const keys = await hsm.findKeys(label)
    if (id !== 0 && keys.some((key) => key.id === id)) {
      throw new Problem('KEY_EXISTS', `id: ${id} is taken under ${label}; choose another, or 0 for the next free one`)
    }
    const chosen = id === 0 ? keys.reduce((highest, key) => Math.max(highest, key.id), 0) + 1 : id
    if (chosen > MAX_KEY_ID) {
      throw new Problem('KEY_GENERATION_ERROR', `no id is left above the highest under ${label}; give a free one`)
    }
    try {
      return { handle: await hsm.generateAesKey(label, chosen, bits), id: chosen }
    } finally {
      // also after a failure: whether a call that timed out made the key is unknown
      directory.forget(label)
    }
  })
}
