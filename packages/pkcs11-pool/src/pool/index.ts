import type { PoolFactory } from './factory.js'
import type { PoolOptions } from './options.js'
import { Pool, type PoolRuntime } from './pool.js'

export type { Clock, Timer } from '../internal/clock.js'
export type { Entry } from './entry.js'
export type { PoolEventName, PoolEvents, PoolListener } from './events.js'
export type { DestroyReason, PoolFactory } from './factory.js'
export type { Lease } from './lease.js'
export type { AcquireOptions, CloseOptions, PoolOptions, PoolSizes, ResolvedPoolOptions } from './options.js'
export { DEFAULT_POOL_OPTIONS, resolveCloseTimeout, resolveOptions } from './options.js'
export type { Pool, PoolRuntime } from './pool.js'
export type { PoolStats } from './stats.js'

/**
 * Makes a pool of anything that is expensive to open. It opens `minSize` of them by itself, at once.
 *
 * @throws INVALID_OPTION for an option that is unknown or out of range, INVALID_ARGUMENT for a factory without its functions
 * @example
 * ```ts
 * const pool = createPool({ create: () => connect(), validate: (c) => c.ping(), destroy: (c) => c.end() }, { maxSize: 4 })
 * const answer = await pool.use((connection) => connection.query('…'))
 * await pool.close()
 * ```
 */
export function createPool<T>(factory: PoolFactory<T>, options?: PoolOptions, runtime?: PoolRuntime): Pool<T> {
  return new Pool(factory, options, runtime)
}
