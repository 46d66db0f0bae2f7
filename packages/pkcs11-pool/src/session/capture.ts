import { Pkcs11PoolError } from '../errors.js'
import { privateBytes } from '../internal/private-bytes.js'
import { type Mechanism, packMechanism } from '../pkcs11/mechanisms.js'
import type { PackedMechanism, PackedTemplate } from '../pkcs11/protocol.js'
import { packTemplate, type Template } from '../pkcs11/templates.js'

/**
 * The inputs of one call, taken when the call is made: the caller may wipe or reuse its own at once, however long the call then waits
 * for a session, and whether or not it is made a second time. They are wiped when the call is over, since they may be secrets.
 */
export class Capture {
  readonly #held: Uint8Array[] = []

  /** @throws INVALID_ARGUMENT */
  bytes(value: Uint8Array, name: string): Uint8Array {
    const given = toBytes(value, name)
    const copy = privateBytes(given.length)
    copy.set(given)
    this.#held.push(copy)
    return copy
  }

  /** Several inputs as one. @throws INVALID_ARGUMENT */
  joined(...parts: Uint8Array[]): Uint8Array {
    const copy = privateBytes(parts.reduce((sum, part) => sum + part.length, 0))
    let at = 0
    for (const part of parts) {
      copy.set(part, at)
      at += part.length
    }
    this.#held.push(copy)
    return copy
  }

  /** @throws INVALID_ARGUMENT */
  template(template: Template): PackedTemplate {
    const packed = packTemplate(template)
    this.#held.push(packed)
    return packed
  }

  /** @throws INVALID_ARGUMENT */
  mechanism(mechanism: Mechanism): PackedMechanism {
    // Not wiped: what names alone make is shared between calls, and parameters are no secrets.
    return packMechanism(mechanism)
  }

  wipe(): void {
    for (const bytes of this.#held) bytes.fill(0)
  }
}

/** Runs a call on captured inputs and wipes them when it has settled. */
export async function withCapture<R>(call: (capture: Capture) => Promise<R>): Promise<R> {
  const capture = new Capture()
  try {
    return await call(capture)
  } finally {
    capture.wipe()
  }
}

/** @throws INVALID_ARGUMENT */
export function toBytes(value: Uint8Array, name: string): Uint8Array {
  if (value instanceof Uint8Array) return value
  throw new Pkcs11PoolError('INVALID_ARGUMENT', `${name} is ${typeName(value)}; expected a Uint8Array or Buffer`)
}

/** The type of a value that was not expected: never the value itself, which may be a secret. */
export function typeName(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value !== 'object') return `of type ${typeof value}`
  return `a ${value.constructor?.name ?? 'object'}`
}
