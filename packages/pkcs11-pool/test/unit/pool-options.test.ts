import { expect, test } from 'vitest'
import type { PoolOptions } from '../../src/pool/index.js'
import { createPool, DEFAULT_POOL_OPTIONS, resolveOptions } from '../../src/pool/index.js'

function refusal(options: unknown): { code: string; message: string } {
  try {
    resolveOptions(options as PoolOptions)
  } catch (error) {
    const { code, message } = error as { code: string; message: string }
    return { code, message }
  }
  throw new Error('the options were accepted')
}

test('without options the documented defaults hold, and cannot be changed', () => {
  const options = resolveOptions()
  expect(options).toEqual({
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
  expect(Object.isFrozen(options)).toBe(true)
  expect(Object.isFrozen(DEFAULT_POOL_OPTIONS)).toBe(true)
})

test('a misspelled option is refused with the name that was meant', () => {
  expect(refusal({ maxsize: 3 })).toEqual({
    code: 'INVALID_OPTION',
    message: 'unknown option "maxsize"; did you mean "maxSize"?',
  })
  expect(refusal({ idleTimeout: 3 }).message).toContain('"idleTimeoutMs"')
  expect(refusal({ xyz: 3 }).message).toContain('expected one of maxSize, minSize')
})

test('0 is a value, not a request for the default', () => {
  const zeros = { minSize: 0, idleTimeoutMs: 0, maxLifetimeMs: 0, acquireTimeoutMs: 0, validateTimeoutMs: 0 }
  expect(resolveOptions(zeros)).toMatchObject(zeros)
})

test('undefined is the default', () => {
  expect(resolveOptions({ maxSize: undefined, minSize: undefined })).toEqual(DEFAULT_POOL_OPTIONS)
})

test('what is no whole number in range is refused, saying what was got and what is expected', () => {
  expect(refusal({ maxSize: 0 })).toEqual({
    code: 'INVALID_OPTION',
    message: 'maxSize is 0; expected a whole number from 1 to 1000000',
  })
  expect(refusal({ acquireTimeoutMs: Number.NaN }).message).toBe(
    'acquireTimeoutMs is NaN; expected a whole number from 0 to 2147483647, or Infinity',
  )
  expect(refusal({ idleTimeoutMs: -1 }).message).toContain('idleTimeoutMs is -1')
  expect(refusal({ minSize: 1.5 }).message).toContain('minSize is 1.5')
  expect(refusal({ maxSize: '10' }).message).toContain('maxSize is the string "10"')
  expect(refusal({ createTimeoutMs: 0 }).message).toContain('from 1')
  expect(refusal({ idleTimeoutMs: 2_147_483_648 }).message).toContain('to 2147483647')
  expect(refusal(null).message).toContain('options are null')
  expect(refusal({ maxSize: null }).message).toContain('maxSize is null')
  expect(refusal({ minSize: null }).message).toContain('minSize is null')
})

test.each([
  'growAfterMs',
  'idleTimeoutMs',
  'maxLifetimeMs',
  'acquireTimeoutMs',
  'validateIfIdleMs',
  'maxWaiters',
  'leakThresholdMs',
])('Infinity is allowed for %s', (name) => {
  expect(resolveOptions({ [name]: Number.POSITIVE_INFINITY })).toMatchObject({ [name]: Number.POSITIVE_INFINITY })
})

test.each(['maxSize', 'minSize', 'createTimeoutMs', 'validateTimeoutMs'])('Infinity is refused for %s', (name) => {
  expect(refusal({ [name]: Number.POSITIVE_INFINITY }).message).toContain(`${name} is Infinity`)
})

test('minSize gives way to a small maxSize, unless it was asked for', () => {
  expect(resolveOptions({ maxSize: 1 }).minSize).toBe(1)
  expect(refusal({ maxSize: 1, minSize: 2 })).toEqual({
    code: 'INVALID_OPTION',
    message: 'minSize is 2, more than maxSize 1; expected at most maxSize: lower minSize or raise maxSize',
  })
})

test('a factory without its functions is refused', () => {
  const create = async () => 1
  const destroy = () => {}
  expect(() => createPool(undefined as never)).toThrow('factory.create is of type undefined; expected a function')
  expect(() => createPool({ create } as never)).toThrow('factory.destroy is of type undefined')
  expect(() => createPool({ create, destroy, validate: 1 } as never)).toThrow('factory.validate is of type number')
  expect(() => createPool({ create, destroy, exhausted: true } as never)).toThrow(
    'factory.exhausted is of type boolean',
  )
})
