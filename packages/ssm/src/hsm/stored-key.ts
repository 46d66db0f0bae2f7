import { decodeKeyId } from './key-id.js'

/** A secret key on the token, as the wire knows it. */
export interface StoredKey {
  label: string
  /** what clients call it; 0 where CKA_ID is empty or all zeros */
  id: number
  /** CKA_ID as it is on the token, which may be shorter than 4 bytes */
  ckaId: Buffer
  /** CKA_PRIVATE, without which anybody may have made it, see `unguarded-keys.ts` */
  private: boolean
}

/** A key with what an answer tells of it. */
export interface KeyDetails extends StoredKey {
  handle: number | bigint
  /** 0 where the token does not tell */
  sizeBits: number
  /** it waits for the key with its id to go, see {@link visibleKeys} */
  replacement: boolean
}

/** What the library says of a key. */
interface FoundKey {
  handle: number | bigint
  label: string
  id: Buffer
  private: boolean | undefined
  keyType: string | undefined
  sizeBits: number | undefined
}

/** Sizes that a token does not tell, because the type of key has only one. */
const FIXED_BITS: Readonly<Record<string, number>> = { CKK_DES: 64, CKK_DES2: 128, CKK_DES3: 192 }

/** None where clients cannot name the key. */
export function storedKey({ handle, label, id: ckaId, private: isPrivate, keyType, sizeBits }: FoundKey): KeyDetails[] {
  const decoded = decodeKeyId(ckaId)
  if (decoded === undefined) return []
  const bits = sizeBits ?? FIXED_BITS[keyType ?? ''] ?? 0
  return [{ label, ...decoded, ckaId, private: isPrivate === true, handle, sizeBits: bits }]
}

/**
 * The keys of one label that clients see: one that is to replace another is there once the other is not. So at every moment of a
 * replacement, wherever it breaks off, one of the two is there, and never both.
 */
export function visibleKeys<K extends Pick<KeyDetails, 'id' | 'replacement'>>(keys: readonly K[]): K[] {
  const taken = new Set(keys.filter(({ replacement }) => !replacement).map(({ id }) => id))
  return keys.filter(({ id, replacement }) => !replacement || !taken.has(id))
}
