import { LITTLE_ENDIAN } from './numbers.js'

/** The largest CK_ULONG that every machine holds. Larger ones are handles and CK_UNAVAILABLE_INFORMATION. */
export const MAX_ULONG = 0xffff_ffff

/** Writes a CK_ULONG in the machine's order; the value must not be above {@link MAX_ULONG}. */
export function writeUlong(target: Buffer, value: number, offset: number, ulongSize: 4 | 8): void {
  if (LITTLE_ENDIAN) {
    target.writeUInt32LE(value, offset)
    if (ulongSize === 8) target.writeUInt32LE(0, offset + 4)
    return
  }
  if (ulongSize === 8) target.writeUInt32BE(0, offset)
  target.writeUInt32BE(value, offset + ulongSize - 4)
}

/** Reads one CK_ULONG of 4 or 8 bytes; undefined where it is CK_UNAVAILABLE_INFORMATION or of another length. */
export function readUlong(bytes: Buffer): number | undefined {
  if (bytes.length !== 4 && bytes.length !== 8) return undefined
  if (bytes.every((byte) => byte === 0xff)) return undefined
  if (bytes.length === 4) return LITTLE_ENDIAN ? bytes.readUInt32LE() : bytes.readUInt32BE()
  return Number(LITTLE_ENDIAN ? bytes.readBigUInt64LE() : bytes.readBigUInt64BE())
}
