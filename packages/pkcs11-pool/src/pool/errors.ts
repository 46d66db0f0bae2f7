import { Pkcs11PoolError } from '../errors.js'
import type { PoolStats } from './stats.js'

export function acquireTimeout(timeoutMs: number, stats: PoolStats): Pkcs11PoolError {
  const { maxSize, effectiveMaxSize, currentSize, available, inUse, waiting, creating, destroying } = stats
  const limited = effectiveMaxSize < maxSize ? `, limited to ${effectiveMaxSize}` : ''
  const underWay = `${creating > 0 ? `, creating ${creating}` : ''}${destroying > 0 ? `, destroying ${destroying}` : ''}`
  return new Pkcs11PoolError(
    'ACQUIRE_TIMEOUT',
    `timeout waiting for available connection after ${timeoutMs} ms: maxSize ${maxSize}${limited}, currentSize ${currentSize}, ` +
      `available ${available}, inUse ${inUse}, waiting ${waiting}${underWay}`,
  )
}

/** A failed creation as its waiter gets it; a timeout is one already. */
export function createFailure(cause: unknown): Pkcs11PoolError {
  if (!(cause instanceof Pkcs11PoolError)) {
    const why = cause instanceof Error ? cause.message : String(cause)
    return new Pkcs11PoolError('CREATE_FAILED', `failed to create connection: ${why}`, { cause })
  }
  if (cause.code === 'CREATE_TIMEOUT') return cause
  const { category, message } = cause
  return new Pkcs11PoolError('CREATE_FAILED', `failed to create connection: ${message}`, { cause, category })
}

export function queueFull(maxWaiters: number): Pkcs11PoolError {
  return new Pkcs11PoolError(
    'QUEUE_FULL',
    `${maxWaiters} callers wait for a connection already, as many as maxWaiters allows; shed load, or raise maxSize or maxWaiters`,
  )
}

export function poolClosed(when: string): Pkcs11PoolError {
  return new Pkcs11PoolError('POOL_CLOSED', `the pool was closed ${when}; a closed pool cannot be used again`)
}

export function validateTimeout(validateTimeoutMs: number): Pkcs11PoolError {
  return new Pkcs11PoolError(
    'OPERATION_TIMEOUT',
    `validating a connection did not finish within validateTimeoutMs ${validateTimeoutMs}; it was destroyed`,
  )
}
