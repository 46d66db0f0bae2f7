/** An answer that is not what an independent computation gives. */
export class WrongAnswer extends Error {
  override name = 'WrongAnswer'
}

/** @throws WrongAnswer */
export function same(what: string, got: Uint8Array, expected: Uint8Array): void {
  if (Buffer.compare(got, expected) === 0) return
  throw new WrongAnswer(`${what}: got ${hex(got)}, an independent computation gives ${hex(expected)}`)
}

/** @throws WrongAnswer */
export function holds(what: string, condition: boolean): void {
  if (!condition) throw new WrongAnswer(what)
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 48)).toString('hex')
}
