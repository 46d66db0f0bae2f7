import { Pkcs11PoolError } from '../errors.js'
import { typeName } from './capture.js'

/** An object of the token, as its module numbers it: a bigint where a number could not hold it exactly. */
export type ObjectHandle = number | bigint

/** An object's handle, or anything that has one, such as a {@link Key}. */
export type HandleLike = ObjectHandle | { readonly handle: ObjectHandle }

/** @throws INVALID_ARGUMENT */
export function toHandle(value: HandleLike, name: string): ObjectHandle {
  const handle = typeof value === 'object' && value !== null ? value.handle : value
  if (typeof handle === 'bigint' && handle >= 0n) return handle
  if (typeof handle === 'number' && Number.isSafeInteger(handle) && handle >= 0) return handle
  throw new Pkcs11PoolError(
    'INVALID_ARGUMENT',
    `${name} is ${typeName(handle)}; expected an object handle, or what findKey and client.keys answer`,
  )
}

/** The most that one C_GenerateRandom is asked for. */
const MOST_RANDOM = 64 * 1024 * 1024

/** @throws INVALID_ARGUMENT */
export function toLength(value: number, name: string): number {
  if (Number.isInteger(value) && value >= 0 && value <= MOST_RANDOM) return value
  throw new Pkcs11PoolError(
    'INVALID_ARGUMENT',
    `${name} is ${typeof value === 'number' ? value : typeName(value)}; expected a whole number of bytes from 0 to ${MOST_RANDOM}`,
  )
}
