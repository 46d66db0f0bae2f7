import type { KeyFamily } from '../crypto/algorithms.js'

/** A key whose value somebody else has too, as a request brings it. */
export interface ExternalKey {
  label: string
  id: number
  family: KeyFamily
  value: Uint8Array
}

/** What became of it. */
export interface StoredExternalKey {
  handle: number | bigint
  /** its value for its owner, encrypted; empty where the token has no key to do so */
  ownCopy: Buffer
}
