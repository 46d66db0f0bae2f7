import { Pkcs11PoolError } from '../errors.js'
import { MAX_DELAY_MS } from '../internal/clock.js'
import { describeValue } from './describe-value.js'
import { meantOrExpected, quoted } from './did-you-mean.js'

/** @throws INVALID_OPTION for a name that is not known, with the nearest one that is */
export function checkNames(what: string, value: object, known: readonly string[]): void {
  if (typeof value !== 'object' || value === null) throw invalidOption(what, value, `an object of ${known.join(', ')}`)
  for (const name of Object.keys(value)) {
    if (!known.includes(name)) {
      throw new Pkcs11PoolError(
        'INVALID_OPTION',
        `unknown option ${quoted(name)} of ${what}${meantOrExpected(name, known)}`,
      )
    }
  }
}

/** @throws INVALID_OPTION */
export function resolveDuration(name: string, value: number | undefined, otherwise: number): number {
  if (value === undefined) return otherwise
  if (typeof value === 'number' && value >= 0) return value
  throw invalidOption(name, value, 'milliseconds from 0, or Infinity')
}

/** Milliseconds that a timer is set to, `least` or more. @throws INVALID_OPTION */
export function resolveDelay(name: string, value: number | undefined, otherwise: number, least: number): number {
  if (value === undefined) return otherwise
  if (typeof value === 'number' && value >= least && value <= MAX_DELAY_MS) return value
  throw invalidOption(name, value, `milliseconds from ${least} to ${MAX_DELAY_MS}`)
}

/** @throws INVALID_OPTION */
export function resolveCount(name: string, value: number | undefined, otherwise: number, most: number): number {
  if (value === undefined) return otherwise
  if (Number.isInteger(value) && value >= 1 && value <= most) return value
  throw invalidOption(name, value, `a whole number from 1 to ${most}`)
}

export function invalidOption(name: string, value: unknown, expected: string): Pkcs11PoolError {
  const got =
    typeof value === 'string' ? JSON.stringify(value) : typeof value === 'number' ? String(value) : describeValue(value)
  return new Pkcs11PoolError('INVALID_OPTION', `${name} is ${got}; expected ${expected}`)
}
