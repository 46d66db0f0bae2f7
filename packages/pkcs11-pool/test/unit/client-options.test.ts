import { describe, expect, test } from 'vitest'
import { resolveClientOptions } from '../../src/client-options.js'
import { type ClientOptions, Pkcs11PoolError } from '../../src/index.js'
import { DEFAULT_HANDLE_CACHE_OPTIONS } from '../../src/keys/handle-cache.js'
import { DEFAULT_POOL_OPTIONS } from '../../src/pool/index.js'
import { DEFAULT_RESILIENCE } from '../../src/resilience/options.js'

const needed = { module: '/lib/module.so', token: { label: 'demo' } }

function refusal(options: unknown): string {
  try {
    resolveClientOptions(options as ClientOptions)
  } catch (error) {
    if (!(error instanceof Pkcs11PoolError)) throw error
    expect(error.code).toBe('INVALID_OPTION')
    return error.message
  }
  throw new Error('the options were accepted')
}
const refusalWith = (options: object): string => refusal({ ...needed, ...options })

test('module and token are all that must be given', () => {
  const defaults = {
    ...needed,
    pin: undefined,
    pool: DEFAULT_POOL_OPTIONS,
    operationTimeoutMs: 5_000,
    keys: DEFAULT_HANDLE_CACHE_OPTIONS,
    ...DEFAULT_RESILIENCE,
    readOnly: false,
    connect: 'eager',
  }
  expect(resolveClientOptions(needed)).toEqual(defaults)
  const undefineds = { pin: undefined, pool: undefined, keys: undefined, readOnly: undefined, connect: undefined }
  expect(resolveClientOptions({ ...needed, ...undefineds })).toEqual(defaults)
  expect(
    resolveClientOptions({ ...needed, pool: { operationTimeoutMs: undefined }, keys: { ttlMs: undefined } }),
  ).toEqual(defaults)
})

test('null is no request for the default', () => {
  for (const name of ['module', 'token', 'pin', 'pool', 'keys', 'readOnly', 'connect']) {
    expect(refusalWith({ [name]: null })).toMatch(new RegExp(`^${name} is (null|not of the right shape); expected`))
  }
  for (const name of Object.keys(DEFAULT_POOL_OPTIONS)) {
    expect(refusalWith({ pool: { [name]: null } })).toMatch(new RegExp(`^${name} is null; expected`))
  }
  expect(refusalWith({ pool: { operationTimeoutMs: null } })).toContain('operationTimeoutMs is null')
  for (const name of Object.keys(DEFAULT_HANDLE_CACHE_OPTIONS)) {
    expect(refusalWith({ keys: { [name]: null } })).toContain(`keys.${name} is null`)
  }
  expect(refusal(null)).toContain('createClient is null')
})

test('a misspelled name is refused at every depth, with the one that was meant', () => {
  expect(refusalWith({ tokn: 1 })).toBe('unknown option "tokn" of createClient; did you mean token?')
  expect(refusalWith({ token: { lable: 'demo' } })).toContain('"lable" of token; did you mean label?')
  expect(refusalWith({ pin: { fil: '/pin' } })).toContain('"fil" of pin; did you mean file?')
  expect(refusalWith({ pool: { maxsize: 3 } })).toContain('"maxsize" of pool; did you mean maxSize?')
  expect(refusalWith({ pool: { operationTimeout: 3 } })).toContain('did you mean operationTimeoutMs?')
  expect(refusalWith({ keys: { ttl: 3 } })).toContain('did you mean ttlMs?')
})

describe('a token is selected', () => {
  test('by its label, its serial number or its slot', () => {
    const slots = [0, Number.MAX_SAFE_INTEGER, (2n ** 63n) as never].map((slot) => ({ slot }))
    for (const token of [{ label: 'demo' }, { serial: '0a1b' }, ...slots]) {
      expect(resolveClientOptions({ ...needed, token }).token).toBe(token)
    }
  })

  test.each([
    ['no name', {}],
    ['two names', { label: 'demo', slot: 1 }],
    ['an empty label', { label: '' }],
    ['a label that is none', { label: 3 }],
    ['an empty serial number', { serial: '' }],
    ['a negative slot', { slot: -1 }],
    ['a negative slot of any size', { slot: -1n }],
    ['half a slot', { slot: 1.5 }],
    ['a slot as text', { slot: '1' }],
    ['nothing but undefined', { label: undefined }],
    ['a text', 'demo'],
  ])('and not by %s', (_, token) => {
    expect(refusalWith({ token })).toContain('expected')
    expect(refusalWith({ token })).toMatch(/^token/)
  })
})

describe('a PIN', () => {
  const bytes = new Uint8Array([49])

  test.each([[{ file: '/pin' }], [{ env: 'PIN' }], [{ value: '1234' }], [{ value: bytes }]])(
    'is taken from one source: %j',
    (pin) => {
      expect(resolveClientOptions({ ...needed, pin }).pin).toBe(pin)
    },
  )

  test.each([
    ['from none', {}],
    ['from two', { file: '/secret', env: 'SECRET' }],
    ['from an empty one', { value: '' }],
    ['from a file by its bytes', { file: new Uint8Array([1]) }],
    ['as a number', { value: 987_654 }],
    ['by itself', 'secret'],
  ])('is not taken %s, and the refusal has no part of it', (_, pin) => {
    const message = refusalWith({ pin })
    expect(message).toContain('expected exactly one of')
    expect(message).not.toMatch(/secret|987/i)
  })
})

test('a lazy client holds no session ready, unless it was told to', () => {
  expect(resolveClientOptions({ ...needed, connect: 'lazy' }).pool.minSize).toBe(0)
  expect(resolveClientOptions({ ...needed, connect: 'lazy', pool: { minSize: 3 } }).pool.minSize).toBe(3)
  expect(resolveClientOptions({ ...needed, connect: 'eager' }).pool.minSize).toBe(2)
})

test('breaker and health are given in part, and what is left out is the default', () => {
  const { breaker, health } = resolveClientOptions({
    ...needed,
    breaker: { failureThreshold: 1, initialBackoffMs: 20 },
    health: { probeIntervalMs: Infinity, keepAlive: true },
  })
  expect(breaker).toEqual({ failureThreshold: 1, initialBackoffMs: 20, maxBackoffMs: 10_000 })
  expect(health).toEqual({ probeIntervalMs: Infinity, probeTimeoutMs: 2_000, keepAlive: true })
})

test('a default backoff gives way to the one that is given beside it', () => {
  const backoffs = (breaker: object) => resolveClientOptions({ ...needed, breaker }).breaker
  expect(backoffs({ maxBackoffMs: 100 })).toMatchObject({ initialBackoffMs: 100, maxBackoffMs: 100 })
  expect(backoffs({ initialBackoffMs: 60_000 })).toMatchObject({ initialBackoffMs: 60_000, maxBackoffMs: 60_000 })
  expect(refusalWith({ breaker: { initialBackoffMs: 2, maxBackoffMs: 1 } })).toContain(
    'breaker.initialBackoffMs is 2; expected at most breaker.maxBackoffMs, which is 1',
  )
})

test.each([
  [{ breaker: { failureThreshold: 0 } }, 'breaker.failureThreshold is 0; expected a whole number from 1'],
  [{ breaker: { failureThreshold: 1.5 } }, 'breaker.failureThreshold is 1.5'],
  [
    { breaker: { maxBackoffMs: Infinity } },
    'breaker.maxBackoffMs is Infinity; expected milliseconds from 1 to 2147483647',
  ],
  [{ breaker: { threshold: 1 } }, 'unknown option "threshold" of breaker'],
  [{ breaker: null }, 'breaker is null'],
  [{ health: { probeIntervalMs: 0 } }, 'health.probeIntervalMs is 0; expected milliseconds from 1'],
  [{ health: { probeTimeoutMs: '1' } }, 'health.probeTimeoutMs is "1"'],
  [{ health: { keepAlive: 30 } }, 'health.keepAlive is 30; expected true or false'],
  [{ retry: { maxAttempts: 0 } }, 'retry.maxAttempts is 0; expected a whole number from 1 to 100'],
  [{ retry: { budget: 1.1 } }, 'retry.budget is 1.1; expected a share from 0 to 1'],
  [{ retry: { initialBackoffMs: 2, maxBackoffMs: 1 } }, 'at most retry.maxBackoffMs, which is 1'],
  [{ health: { probeInterval: 1 } }, 'did you mean probeIntervalMs?'],
])('%j is refused by its name', (options, message) => {
  expect(refusalWith(options)).toContain(message)
})

test('durations are milliseconds from 0, and those that a timer counts are no longer than one can', () => {
  expect(resolveClientOptions({ ...needed, pool: { operationTimeoutMs: 0 } }).operationTimeoutMs).toBe(0)
  expect(resolveClientOptions({ ...needed, pool: { operationTimeoutMs: 2 ** 31 - 1 } }).operationTimeoutMs).toBe(
    2 ** 31 - 1,
  )
  expect(resolveClientOptions({ ...needed, pool: { operationTimeoutMs: Infinity } }).operationTimeoutMs).toBe(Infinity)
  for (const wrong of [-1, Number.NaN, 2 ** 31, '5000', 1n]) {
    expect(refusalWith({ pool: { operationTimeoutMs: wrong } })).toContain('operationTimeoutMs is')
  }
  expect(resolveClientOptions({ ...needed, keys: { ttlMs: 2 ** 40, negativeTtlMs: 0 } }).keys).toMatchObject({
    ttlMs: 2 ** 40,
    negativeTtlMs: 0,
  })
  expect(refusalWith({ keys: { negativeTtlMs: -1 } })).toContain('keys.negativeTtlMs is -1')
})

test('what is not of its kind is refused by its name', () => {
  expect(refusalWith({ module: '' })).toContain('module is ""; expected the path of a PKCS#11 library')
  expect(refusalWith({ readOnly: 'yes' })).toContain('readOnly is "yes"; expected true or false')
  expect(refusalWith({ connect: 'soon' })).toContain("connect is \"soon\"; expected 'eager' or 'lazy'")
  expect(refusalWith({ keys: { cache: 1 } })).toContain('keys.cache is 1')
  expect(refusalWith({ keys: { maxEntries: 0 } })).toContain('keys.maxEntries is 0')
  expect(refusalWith({ pool: { maxSize: 0 } })).toContain('maxSize is 0')
  expect(refusalWith({ pool: 3 })).toContain('pool is 3; expected an object of maxSize')
})
