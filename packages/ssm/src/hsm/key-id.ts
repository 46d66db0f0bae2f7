/** The largest id: clients hold ids in signed integers of 32 bits. */
export const MAX_KEY_ID = 0x7fff_ffff

/** How CKA_ID begins on a key that is to take another's place; its id follows. No client can name such an id. */
const REPLACEMENT_MARK = Buffer.from('ssm:new:', 'ascii')
const ID_BYTES = 4

/** CKA_ID of a key made here: the id as 4 bytes, big-endian. */
export function encodeKeyId(id: number): Buffer {
  const bytes = Buffer.alloc(ID_BYTES)
  bytes.writeUInt32BE(id)
  return bytes
}

/** CKA_ID of a key that takes the place of the one with the id as soon as that is gone. */
export function encodeReplacementId(id: number): Buffer {
  return Buffer.concat([REPLACEMENT_MARK, encodeKeyId(id)])
}

/** What a CKA_ID says. */
export interface DecodedKeyId {
  id: number
  /** the key waits for the one with the id to go */
  replacement: boolean
}

/** The id that a CKA_ID reads as, shorter ones left-padded with zeros; undefined where no client can name it. */
export function decodeKeyId(ckaId: Uint8Array): DecodedKeyId | undefined {
  const marked = REPLACEMENT_MARK.equals(ckaId.subarray(0, REPLACEMENT_MARK.length))
  const replacement = marked && ckaId.length === REPLACEMENT_MARK.length + ID_BYTES
  const bytes = replacement ? ckaId.subarray(REPLACEMENT_MARK.length) : ckaId
  if (bytes.length > ID_BYTES) return undefined
  const id = bytes.reduce((value, byte) => value * 256 + byte, 0)
  return id <= MAX_KEY_ID ? { id, replacement } : undefined
}
