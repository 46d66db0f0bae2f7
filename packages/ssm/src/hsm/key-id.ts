/** The largest id: clients hold ids in signed integers of 32 bits. */
export const MAX_KEY_ID = 0x7fff_ffff

/** CKA_ID of a key made here: the id as 4 bytes, big-endian. */
export function encodeKeyId(id: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(id)
  return bytes
}

/** The id that a CKA_ID reads as, shorter ones left-padded with zeros; undefined where no client can name it. */
export function decodeKeyId(ckaId: Uint8Array): number | undefined {
  if (ckaId.length > 4) return undefined
  const id = ckaId.reduce((value, byte) => value * 256 + byte, 0)
  return id <= MAX_KEY_ID ? id : undefined
}
