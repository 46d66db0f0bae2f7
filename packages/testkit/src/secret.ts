import { randomBytes } from 'node:crypto'

/** A PIN that nobody knows; a length of 12 unless given. */
export function secret(length = 12): string {
  return randomBytes(length).toString('base64url').slice(0, length)
}
