import { isUint8Array } from 'node:util/types'

/**
 * What kind of thing a value is, for error messages. Never the value itself: it may be a secret.
 */
export function describeValue(value: unknown): string {
  if (value === undefined) return 'undefined'
  if (value === null) return 'null'
  if (isUint8Array(value)) return `${value.length} bytes`
  if (Array.isArray(value)) return 'an array'
  switch (typeof value) {
    case 'object':
      return 'an object'
    case 'number':
      return Number.isInteger(value) ? 'an integer' : 'a number that is no integer'
    default:
      return `a ${typeof value}`
  }
}
