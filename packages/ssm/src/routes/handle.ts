const LOW_31_BITS = 0x7fff_ffffn

/** A key's handle as clients can hold it: its low 31 bits. It is information only, no route takes one. */
export function wireHandle(handle: number | bigint): number {
  return Number(BigInt(handle) & LOW_31_BITS)
}
