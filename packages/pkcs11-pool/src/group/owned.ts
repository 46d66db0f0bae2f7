import type { Capture } from '../session/capture.js'

/**
 * A mechanism or template that its caller cannot change any more: it is sent to one member after the other, while the caller may wipe
 * its bytes as soon as the call has returned. What is wrong with it, sending it tells.
 */
export function owned<T>(capture: Capture, value: T): T {
  return copy(capture, value) as T
}

function copy(capture: Capture, value: unknown): unknown {
  if (value instanceof Uint8Array) return capture.bytes(value, 'value')
  if (Array.isArray(value)) return value.map((each) => copy(capture, each))
  if (typeof value !== 'object' || value === null || !isPlain(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, copy(capture, each)]))
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
