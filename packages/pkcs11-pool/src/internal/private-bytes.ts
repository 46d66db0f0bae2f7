const SLAB_BYTES = 64 * 1024
const LARGEST_SHARE = SLAB_BYTES / 8

let slab = new ArrayBuffer(SLAB_BYTES)
let used = 0

/**
 * Bytes for what the library holds for a moment and wipes: off the JavaScript heap, where the garbage collector would leave copies
 * behind and the engine could not read without a detour, and never in the memory that small Buffers of the program share.
 */
export function privateBytes(length: number): Uint8Array {
  if (length > LARGEST_SHARE) return new Uint8Array(new ArrayBuffer(length))
  if (used + length > SLAB_BYTES) {
    slab = new ArrayBuffer(SLAB_BYTES)
    used = 0
  }
  const bytes = new Uint8Array(slab, used, length)
  used += length
  return bytes
}
