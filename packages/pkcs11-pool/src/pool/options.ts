import { Pkcs11PoolError } from '../errors.js'
import { MAX_DELAY_MS } from '../internal/clock.js'
import { nearest } from '../internal/nearest.js'

/** How a pool behaves. Durations are whole milliseconds; 0 means at once, `Infinity`, where it is allowed, never. */
export interface PoolOptions {
  /** Most resources at a time, 1 or more. @defaultValue 10 */
  maxSize?: number | undefined
  /** Resources kept open though nobody uses them, up to `maxSize`. @defaultValue 2, or `maxSize` where that is less */
  minSize?: number | undefined
  /**
   * The longest that a caller is to wait for a resource in use before another is opened for it, beyond `minSize` and up to `maxSize`.
   * The pool waits no longer than opening one took lately, and not at all where the wait is to be expected anyway, as in a cold pool.
   * 0: one is opened at once for each caller that waits. Infinity: as long as opening takes. @defaultValue 20
   */
  growAfterMs?: number | undefined
  /** How long a resource may lie unused before it is destroyed, down to `minSize`. Infinity: for ever. @defaultValue 300_000 */
  idleTimeoutMs?: number | undefined
  /**
   * How old a resource may become, less 2.5 to 10 % chosen by chance so that they do not all end at once. It is never taken away
   * from its user. 0: each serves one user. Infinity: for ever. @defaultValue 1_800_000
   */
  maxLifetimeMs?: number | undefined
  /**
   * How long `acquire` waits. 0: it succeeds only with a resource that is idle now (validating it may take `validateTimeoutMs`).
   * Infinity: for ever. @defaultValue 10_000
   */
  acquireTimeoutMs?: number | undefined
  /** How long making a resource, and ending one, may take, 1 or more. @defaultValue 5_000 */
  createTimeoutMs?: number | undefined
  /** How long validating a resource may take. 0: the validation has to answer synchronously. @defaultValue 1_000 */
  validateTimeoutMs?: number | undefined
  /** What was used less than this ago is not validated. 0: validate always. Infinity: never. @defaultValue 500 */
  validateIfIdleMs?: number | undefined
  /**
   * How many may wait, 1 or more; `acquire` beyond it fails with `QUEUE_FULL`. The default is what a server of 1,000 operations a
   * second serves within the default `acquireTimeoutMs`: who comes later would only wait to be timed out. @defaultValue 10_000
   */
  maxWaiters?: number | undefined
  /**
   * A lease held this long is reported once as a `leak`, with the place that acquired it. Recording that place costs about as much
   * as acquire itself, so it is off by default. @defaultValue Infinity
   */
  leakThresholdMs?: number | undefined
}

/** {@link PoolOptions} with everything decided; frozen. */
export type ResolvedPoolOptions = Readonly<{ [K in keyof PoolOptions]-?: number }>

export const DEFAULT_POOL_OPTIONS: ResolvedPoolOptions = Object.freeze({
  maxSize: 10,
  minSize: 2,
  growAfterMs: 20,
  idleTimeoutMs: 300_000,
  maxLifetimeMs: 1_800_000,
  acquireTimeoutMs: 10_000,
  createTimeoutMs: 5_000,
  validateTimeoutMs: 1_000,
  validateIfIdleMs: 500,
  maxWaiters: 10_000,
  leakThresholdMs: Number.POSITIVE_INFINITY,
})

type OptionName = keyof ResolvedPoolOptions
type Range = readonly [min: number, max: number, infinity?: 'or Infinity']

const NAMES = Object.keys(DEFAULT_POOL_OPTIONS) as OptionName[]
const RANGES: Record<OptionName, Range> = {
  maxSize: [1, 1_000_000],
  minSize: [0, 1_000_000],
  growAfterMs: [0, MAX_DELAY_MS, 'or Infinity'],
  idleTimeoutMs: [0, MAX_DELAY_MS, 'or Infinity'],
  maxLifetimeMs: [0, MAX_DELAY_MS, 'or Infinity'],
  acquireTimeoutMs: [0, MAX_DELAY_MS, 'or Infinity'],
  createTimeoutMs: [1, MAX_DELAY_MS],
  validateTimeoutMs: [0, MAX_DELAY_MS],
  validateIfIdleMs: [0, MAX_DELAY_MS, 'or Infinity'],
  maxWaiters: [1, 1_000_000_000, 'or Infinity'],
  leakThresholdMs: [0, MAX_DELAY_MS, 'or Infinity'],
}

/**
 * Checks pool options and fills in the defaults.
 *
 * @throws INVALID_OPTION for an unknown name (with the nearest known one) or a value out of range
 */
export function resolveOptions(options: PoolOptions = {}): ResolvedPoolOptions {
  checkNames('INVALID_OPTION', options, NAMES)
  const resolved = { ...DEFAULT_POOL_OPTIONS } as Record<OptionName, number>
  for (const name of NAMES) {
    const { [name]: value = DEFAULT_POOL_OPTIONS[name] } = options
    resolved[name] = value
  }
  for (const name of NAMES) checkRange('INVALID_OPTION', name, resolved[name], RANGES[name])
  resolved.minSize = resolveMinSize(options.minSize, DEFAULT_POOL_OPTIONS.minSize, resolved.maxSize)
  return Object.freeze(resolved)
}

/** The sizes `resize` may change. */
export type PoolSizes = Pick<PoolOptions, 'minSize' | 'maxSize'>

/** New sizes from those asked for and those that hold: a `minSize` that was not asked for gives way to a smaller `maxSize`. */
export function resolveSizes(asked: PoolSizes, minSize: number, maxSize: number): { minSize: number; maxSize: number } {
  checkNames('INVALID_OPTION', asked, ['minSize', 'maxSize'])
  const { maxSize: newMaxSize = maxSize, minSize: newMinSize = minSize } = asked
  checkRange('INVALID_OPTION', 'maxSize', newMaxSize, RANGES.maxSize)
  checkRange('INVALID_OPTION', 'minSize', newMinSize, RANGES.minSize)
  return { maxSize: newMaxSize, minSize: resolveMinSize(asked.minSize, minSize, newMaxSize) }
}

/** @throws INVALID_ARGUMENT */
export function checkLimit(count: number): void {
  checkRange('INVALID_ARGUMENT', 'count', count, [0, 1_000_000, 'or Infinity'])
}

function resolveMinSize(asked: number | undefined, otherwise: number, maxSize: number): number {
  if (asked === undefined) return Math.min(otherwise, maxSize)
  if (asked <= maxSize) return asked
  throw new Pkcs11PoolError(
    'INVALID_OPTION',
    `minSize is ${asked}, more than maxSize ${maxSize}; expected at most maxSize: lower minSize or raise maxSize`,
  )
}

/** What one `acquire` may ask for. */
export interface AcquireOptions {
  /** Ends the waiting: the promise rejects with the signal's reason. */
  signal?: AbortSignal | undefined
  /** Instead of the pool's `acquireTimeoutMs`, for this call. */
  timeoutMs?: number | undefined
  /** Who asks, for the `acquired`, `timeout` and `leak` events. */
  owner?: string | undefined
}

const ACQUIRE_NAMES = ['signal', 'timeoutMs', 'owner'] as const satisfies (keyof AcquireOptions)[]

/** @throws INVALID_ARGUMENT */
export function checkAcquireOptions(options: AcquireOptions): void {
  checkNames('INVALID_ARGUMENT', options, ACQUIRE_NAMES)
  if (options.timeoutMs !== undefined) {
    checkRange('INVALID_ARGUMENT', 'timeoutMs', options.timeoutMs, RANGES.acquireTimeoutMs)
  }
  if (options.signal !== undefined && typeof options.signal.addEventListener !== 'function') {
    throw new Pkcs11PoolError('INVALID_ARGUMENT', `signal is ${show(options.signal)}; expected an AbortSignal`)
  }
}

const DEFAULT_CLOSE_TIMEOUT_MS = 5_000

/** What `close` may be told. */
export interface CloseOptions {
  /** How long to wait for leases to come back and resources to end, before giving them up. 0: not at all. @defaultValue 5_000 */
  timeoutMs?: number | undefined
}

/** @throws INVALID_ARGUMENT */
export function resolveCloseTimeout(options: CloseOptions = {}): number {
  checkNames('INVALID_ARGUMENT', options, ['timeoutMs'])
  const { timeoutMs = DEFAULT_CLOSE_TIMEOUT_MS } = options
  checkRange('INVALID_ARGUMENT', 'timeoutMs', timeoutMs, [0, MAX_DELAY_MS])
  return timeoutMs
}

type InvalidCode = 'INVALID_OPTION' | 'INVALID_ARGUMENT'

function checkNames(code: InvalidCode, options: object, names: readonly string[]): void {
  if (typeof options !== 'object' || options === null) {
    throw new Pkcs11PoolError(code, `options are ${show(options)}; expected an object of ${names.join(', ')}`)
  }
  for (const name in options) {
    if (names.includes(name)) continue
    const meant = nearest(name, names)
    const help = meant === undefined ? `expected one of ${names.join(', ')}` : `did you mean "${meant}"?`
    throw new Pkcs11PoolError(code, `unknown option "${name}"; ${help}`)
  }
}

function checkRange(code: InvalidCode, name: string, value: unknown, range: Range): void {
  const [min, max, infinity] = range
  if (infinity !== undefined && value === Number.POSITIVE_INFINITY) return
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return
  const expected = `expected a whole number from ${min} to ${max}${infinity === undefined ? '' : `, ${infinity}`}`
  throw new Pkcs11PoolError(code, `${name} is ${show(value)}; ${expected}`)
}

function show(value: unknown): string {
  if (typeof value === 'number' || value === null || value === undefined) return String(value)
  return typeof value === 'string' ? `the string ${JSON.stringify(value)}` : `a value of type ${typeof value}`
}
