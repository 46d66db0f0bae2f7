/** Reads packed mechanisms and templates as the engine does, by the description in protocol.ts alone. */

export interface UnpackedMechanism {
  type: bigint
  kind: number
  n1: bigint
  n2: bigint
  n3: bigint
  /** hexadecimal, as is b */
  a: string
  b: string
}

export function unpackMechanism(packed: Uint8Array): UnpackedMechanism {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength)
  const lengthOfA = view.getUint32(36, true)
  const lengthOfB = view.getUint32(40, true)
  if (packed.length !== 44 + lengthOfA + lengthOfB)
    throw new Error(`${packed.length} bytes for ${lengthOfA} + ${lengthOfB}`)
  const hex = (from: number, to: number) => Buffer.from(packed.subarray(from, to)).toString('hex')
  return {
    type: view.getBigUint64(0, true),
    kind: view.getUint32(8, true),
    n1: view.getBigUint64(12, true),
    n2: view.getBigUint64(20, true),
    n3: view.getBigUint64(28, true),
    a: hex(44, 44 + lengthOfA),
    b: hex(44 + lengthOfA, packed.length),
  }
}

/** Types and values, in the order packed. */
export function unpackTemplate(packed: Uint8Array): [bigint, Buffer][] {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength)
  const attributes: [bigint, Buffer][] = []
  let offset = 4
  for (let left = view.getUint32(0, true); left > 0; left -= 1) {
    const length = view.getUint32(offset + 8, true)
    const value = packed.subarray(offset + 12, offset + 12 + length)
    if (value.length !== length) throw new Error(`value cut: ${value.length} of ${length} bytes`)
    attributes.push([view.getBigUint64(offset, true), Buffer.from(value)])
    offset += 12 + length
  }
  if (offset !== packed.length) throw new Error(`${packed.length - offset} bytes too many`)
  return attributes
}
