import { Problem } from './problems/problem.js'

const NOT_HEX = /[^0-9a-fA-F]/

/**
 * The bytes that a member of a request spells in hex.
 *
 * @throws Problem INVALID_HEX naming the member, never its value
 */
export function decodeHex(member: string, text: string): Buffer {
  if (text.length % 2 !== 0) {
    throw new Problem('INVALID_HEX', `${member}: got ${text.length} hex digits, expected an even number, two a byte`)
  }
  // Buffer.from stops at, or misreads, what is no hex digit: it takes only the low byte of a wide character
  const wrong = text.search(NOT_HEX)
  if (wrong >= 0) {
    throw new Problem('INVALID_HEX', `${member}: character ${wrong + 1} is no hex digit, expected only 0-9 and a-f`)
  }
  return Buffer.from(text, 'hex')
}

/** The same of a member that may be missing; clients out there send `""` where there is nothing. */
export function decodeOptionalHex(member: string, text: string | undefined): Buffer | undefined {
  return text === undefined || text === '' ? undefined : decodeHex(member, text)
}
