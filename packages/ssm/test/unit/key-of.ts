import { encodeKeyId } from '../../src/hsm/key-id.js'
import type { KeyDetails } from '../../src/hsm/stored-key.js'

/** A key under the label `k`, as a token lists it. */
export function keyOf(id: number): KeyDetails {
  return { label: 'k', id, ckaId: encodeKeyId(id), private: true, handle: id, sizeBits: 0, replacement: false }
}
