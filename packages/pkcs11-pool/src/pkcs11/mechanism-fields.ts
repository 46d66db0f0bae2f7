import { isUint8Array } from 'node:util/types'
import { Pkcs11PoolError } from '../errors.js'
import { describeValue } from './describe-value.js'
import { didYouMean, quoted } from './did-you-mean.js'
import { MAX_ULONG } from './ulong.js'

/** The fields of a mechanism object, as they came. */
export type Fields = Readonly<Record<string, unknown>>

export function bytesField(name: string, fields: Fields, field: string, least: number, most: number): Uint8Array {
  const value = fields[field]
  if (isUint8Array(value) && value.length >= least && value.length <= most) return value
  throw badField(name, field, value, expectedBytes(least, most))
}

export function optionalBytesField(
  name: string,
  fields: Fields,
  field: string,
  least: number,
  most: number,
): Uint8Array | undefined {
  return fields[field] === undefined ? undefined : bytesField(name, fields, field, least, most)
}

export function integerField(name: string, fields: Fields, field: string, least: number, most: number): number {
  const value = fields[field]
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value
  throw badField(name, field, value, `an integer from ${least} to ${most}`)
}

/** The number that a name in a field stands for. */
export function namedField(
  name: string,
  field: string,
  value: unknown,
  table: Readonly<Record<string, number>>,
): number {
  const number = typeof value === 'string' && Object.hasOwn(table, value) ? table[value] : undefined
  if (number !== undefined) return number
  const known = Object.keys(table)
  const expected = known.length === 1 ? known.join() : `one of ${known.join(', ')}`
  if (typeof value !== 'string') throw badField(name, field, value, expected)
  throw new Pkcs11PoolError(
    'INVALID_ARGUMENT',
    `mechanism ${name}: ${field} is ${quoted(value)}, expected ${expected}${known.length === 1 ? '' : didYouMean(value, known)}`,
  )
}

export function badField(name: string, field: string, got: unknown, expected: string): Pkcs11PoolError {
  const found = got === undefined ? `${field} is missing` : `${field} is ${describeValue(got)}`
  const range = typeof got === 'number' && Number.isInteger(got) ? `${field} is ${got}` : found
  return new Pkcs11PoolError('INVALID_ARGUMENT', `mechanism ${name}: ${range}, expected ${expected}`)
}

function expectedBytes(least: number, most: number): string {
  if (least === most) return `a Uint8Array of ${least} bytes`
  if (most === MAX_ULONG) return least === 0 ? 'a Uint8Array' : 'a Uint8Array that is not empty'
  return `a Uint8Array of ${least} to ${most} bytes`
}
