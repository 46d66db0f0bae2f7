import { Pkcs11PoolError } from './errors.js'
import { MAX_DELAY_MS } from './internal/clock.js'
import {
  DEFAULT_HANDLE_CACHE_OPTIONS,
  type HandleCacheOptions,
  type ResolvedHandleCacheOptions,
} from './keys/handle-cache.js'
import { INITIALIZE_ARGS, isInitializeArgs } from './pkcs11/initialize-args.js'
import { checkNames, invalidOption as invalid, resolveDuration } from './pkcs11/option-values.js'
import type { TokenSelector } from './pkcs11/token-info.js'
import { DEFAULT_POOL_OPTIONS, type PoolOptions, type ResolvedPoolOptions, resolveOptions } from './pool/index.js'
import { type ResilienceOptions, type ResolvedResilience, resolveResilience } from './resilience/options.js'
import type { PinSource } from './session/token.js'

/** The pool's options, and the one that bounds calls to the token. */
export interface ClientPoolOptions extends PoolOptions {
  /** Milliseconds until a call to the token is given up. @defaultValue 5_000 */
  operationTimeoutMs?: number | undefined
}

/** What {@link createClient} takes. */
export interface ClientOptions extends ResilienceOptions {
  /** The path of the PKCS#11 library. */
  module: string
  /**
   * A string for the library's C_Initialize (`pReserved` of its arguments), where it wants one: NSS softokn takes its configuration so,
   * `configdir='sql:/path/to/db' certPrefix='' keyPrefix='' secmod='secmod.db' flags=noModDB`. Clients of one library in one process
   * share its initialisation, so all of them have to give the same one, or none.
   *
   * @defaultValue none (PKCS#11 2.40, section 5.4: NULL_PTR)
   */
  initializeArgs?: string | undefined
  /** The token: by label, by serial number, or by the number of its slot (which may shift; prefer the others). */
  token: TokenSelector
  /** The user's PIN. Without one nobody logs in, and private objects are not seen. */
  pin?: PinSource | undefined
  pool?: ClientPoolOptions | undefined
  keys?: HandleCacheOptions | undefined
  /** Open read-only sessions, for tokens that are write-protected. @defaultValue false */
  readOnly?: boolean | undefined
  /**
   * `eager`: the token is found and logged into before the client is there, so that a wrong PIN shows at once, and `minSize` sessions
   * have begun to open. `lazy`: the token is found, and nothing opened until it is first used. @defaultValue 'eager'
   */
  connect?: 'eager' | 'lazy' | undefined
}

/** Options with every default filled in. */
export interface ResolvedClientOptions extends ResolvedResilience {
  module: string
  initializeArgs: string | undefined
  token: TokenSelector
  pin: PinSource | undefined
  pool: ResolvedPoolOptions
  operationTimeoutMs: number
  keys: ResolvedHandleCacheOptions
  readOnly: boolean
  connect: 'eager' | 'lazy'
}

const DEFAULT_OPERATION_TIMEOUT_MS = 5_000
const NAMES = [
  'module',
  'initializeArgs',
  'token',
  'pin',
  'pool',
  'keys',
  'breaker',
  'health',
  'retry',
  'readOnly',
  'connect',
] as const satisfies (keyof ClientOptions)[]

const POOL_NAMES = [...Object.keys(DEFAULT_POOL_OPTIONS), 'operationTimeoutMs']

/** @throws INVALID_OPTION naming the option, what was got and what is expected */
export function resolveClientOptions(options: ClientOptions): ResolvedClientOptions {
  checkNames('createClient', options, NAMES)
  const { module, initializeArgs, token, pin, readOnly, connect } = options
  if (typeof module !== 'string' || module === '') {
    throw invalid('module', module, "the path of a PKCS#11 library, such as '/usr/lib/softhsm/libsofthsm2.so'")
  }
  if (initializeArgs !== undefined && !isInitializeArgs(initializeArgs)) {
    throw invalid('initializeArgs', initializeArgs, `a ${INITIALIZE_ARGS}`)
  }
  if (readOnly !== undefined && typeof readOnly !== 'boolean') throw invalid('readOnly', readOnly, 'true or false')
  if (connect !== undefined && connect !== 'eager' && connect !== 'lazy')
    throw invalid('connect', connect, "'eager' or 'lazy'")
  const { pool: poolOptions = {}, keys = {} } = options
  checkNames('pool', poolOptions, POOL_NAMES)
  const { operationTimeoutMs, ...pool } = poolOptions
  return {
    module,
    initializeArgs,
    token: resolveToken(token),
    pin: pin === undefined ? undefined : resolvePin(pin),
    pool: resolveOptions(lazyPool(pool, connect)),
    operationTimeoutMs: resolveTimeout('pool.operationTimeoutMs', operationTimeoutMs, DEFAULT_OPERATION_TIMEOUT_MS),
    keys: resolveKeys(keys),
    ...resolveResilience(options),
    readOnly: readOnly ?? false,
    connect: connect ?? 'eager',
  }
}

/** A lazy client opens nothing by itself, unless it was told how much to hold ready. */
function lazyPool(pool: PoolOptions, connect: ClientOptions['connect']): PoolOptions {
  return connect === 'lazy' && pool.minSize === undefined ? { ...pool, minSize: 0 } : pool
}

function resolveToken(token: TokenSelector): TokenSelector {
  const expected = "one of { label: '…' }, { serial: '…' } or { slot: 3 }"
  checkNames('token', token, ['label', 'serial', 'slot'])
  const given: [string, unknown][] = Object.entries(token).filter(([, value]) => value !== undefined)
  const [only, another] = given
  if (only === undefined || another !== undefined) throw invalid('token', token, expected)
  const [name, value] = only
  const isRight = name === 'slot' ? isSlot(value) : typeof value === 'string' && value !== ''
  if (!isRight) throw invalid(`token.${name}`, value, expected)
  return token
}

function isSlot(value: unknown): boolean {
  return (
    (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) ||
    (typeof value === 'bigint' && value >= 0n)
  )
}

/** @throws INVALID_OPTION */
export function resolveCredentials(credentials: { pin: PinSource }): PinSource {
  // Somebody may have passed the PIN itself.
  if (typeof credentials !== 'object' || credentials === null) throw wrongPin()
  checkNames('setCredentials', credentials, ['pin'])
  return resolvePin(credentials.pin)
}

/** What is wrong with a PIN is told without any part of it. */
function resolvePin(pin: PinSource): PinSource {
  // Somebody may have passed the PIN itself.
  if (typeof pin !== 'object' || pin === null) throw wrongPin()
  checkNames('pin', pin, ['file', 'env', 'value'])
  const [only, another] = Object.entries(pin).filter(([, value]) => value !== undefined)
  const isRight =
    only !== undefined &&
    another === undefined &&
    ((typeof only[1] === 'string' && only[1] !== '') || (only[0] === 'value' && only[1] instanceof Uint8Array))
  if (isRight) return pin
  throw wrongPin()
}

function wrongPin(): Pkcs11PoolError {
  return new Pkcs11PoolError(
    'INVALID_OPTION',
    "pin is not of the right shape; expected exactly one of { file: '…' }, { env: '…' } or { value: string or Uint8Array }, not empty",
  )
}

function resolveKeys(keys: HandleCacheOptions): ResolvedHandleCacheOptions {
  const defaults = DEFAULT_HANDLE_CACHE_OPTIONS
  checkNames('keys', keys, Object.keys(defaults))
  const { cache, maxEntries, confirmUse } = keys
  if (cache !== undefined && typeof cache !== 'boolean') throw invalid('keys.cache', cache, 'true or false')
  if (maxEntries !== undefined && !(Number.isInteger(maxEntries) && maxEntries > 0)) {
    throw invalid('keys.maxEntries', maxEntries, 'a whole number from 1')
  }
  if (confirmUse !== undefined && confirmUse !== 'auto' && typeof confirmUse !== 'boolean') {
    throw invalid('keys.confirmUse', confirmUse, "'auto', true or false")
  }
  return Object.freeze({
    cache: cache ?? defaults.cache,
    ttlMs: resolveDuration('keys.ttlMs', keys.ttlMs, defaults.ttlMs),
    negativeTtlMs: resolveDuration('keys.negativeTtlMs', keys.negativeTtlMs, defaults.negativeTtlMs),
    maxEntries: maxEntries ?? defaults.maxEntries,
    confirmUse: confirmUse ?? defaults.confirmUse,
  })
}

/** A duration that a timer has to count. */
function resolveTimeout(name: string, value: number | undefined, otherwise: number): number {
  const timeoutMs = resolveDuration(name, value, otherwise)
  if (timeoutMs <= MAX_DELAY_MS || timeoutMs === Number.POSITIVE_INFINITY) return timeoutMs
  throw invalid(name, value, `milliseconds from 0 to ${MAX_DELAY_MS}, or Infinity`)
}
