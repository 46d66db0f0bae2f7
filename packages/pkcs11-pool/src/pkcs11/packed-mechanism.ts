import type { PackedMechanism } from './protocol.js'

/** Bytes before those of a and b, see {@link PackedMechanism}. */
export const MECHANISM_HEADER_SIZE = 44

export const NO_BYTES = new Uint8Array(0)

/** Writes one mechanism as the engine reads it; what the fields mean depends on the kind. */
export function packedMechanism(
  type: number,
  kind: number,
  n1: number | bigint = 0,
  n2 = 0,
  n3 = 0,
  a: Uint8Array = NO_BYTES,
  b: Uint8Array = NO_BYTES,
): PackedMechanism {
  const packed = Buffer.allocUnsafe(MECHANISM_HEADER_SIZE + a.length + b.length)
  writeU64(packed, type, 0)
  packed.writeUInt32LE(kind, 8)
  writeU64(packed, n1, 12)
  writeU64(packed, n2, 20)
  writeU64(packed, n3, 28)
  packed.writeUInt32LE(a.length, 36)
  packed.writeUInt32LE(b.length, 40)
  packed.set(a, MECHANISM_HEADER_SIZE)
  packed.set(b, MECHANISM_HEADER_SIZE + a.length)
  return packed
}

/** CKM_HSS, CKM_XMSS and CKM_XMSSMT. */
const STATEFUL: ReadonlySet<number> = new Set([0x4033, 0x4036, 0x4037])

/** Whether each signature takes something of its key away: one that is made again for nothing is one less (PKCS#11 3.1, "HSS"). */
export function usesUpKey(mechanism: PackedMechanism): boolean {
  const [low = 0, high = 0] = mechanism
  // All others differ from these in the second byte already.
  return high === 0x40 && mechanism[2] === 0 && mechanism[3] === 0 && STATEFUL.has(high * 256 + low)
}

function writeU64(target: Buffer, value: number | bigint, offset: number): void {
  if (typeof value === 'bigint') {
    target.writeBigUInt64LE(value, offset)
    return
  }
  target.writeUInt32LE(value % 0x1_0000_0000, offset)
  target.writeUInt32LE(Math.floor(value / 0x1_0000_0000), offset + 4)
}
