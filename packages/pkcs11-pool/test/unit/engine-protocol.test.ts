import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { binding } from '../../src/pkcs11/binding.js'
import { functionName } from '../../src/pkcs11/engine.js'
import { ULONG_SIZE } from '../../src/pkcs11/numbers.js'
import { Operation, Outcome, ParameterKind } from '../../src/pkcs11/protocol.js'

const native = (name: string): string => readFileSync(new URL(`../../native/${name}`, import.meta.url), 'utf8')

/** The enumerators of a C++ enum class with their numbers, `count` left out: it only marks the end. */
function enumerators(source: string, name: string): Record<string, number> {
  const body = new RegExp(`enum class ${name}\\b[^{]*\\{([^}]*)\\}`).exec(source)?.[1]
  if (body === undefined) throw new Error(`there is no enum class ${name}`)
  const numbers: Record<string, number> = {}
  let next = 0
  for (const [, enumerator = '', given] of body.matchAll(/(\w+)(?:\s*=\s*(-?\d+))?\s*(?:,|$)/g)) {
    if (given !== undefined) next = Number(given)
    if (enumerator !== 'count') numbers[enumerator] = next
    next += 1
  }
  return numbers
}

/** The names of protocol.ts as C++ has them: GENERATE_KEY is generateKey. */
function camelCased(numbers: Record<string, number>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(numbers).map(([name, number]) => [
      name.toLowerCase().replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase()),
      number,
    ]),
  )
}

test('an operation has the same number on both sides', () => {
  expect(enumerators(native('job.h'), 'Operation')).toEqual(camelCased(Operation))
})

test('an outcome has the same number on both sides, and none is one a CK_RV could have', () => {
  const { returned, ...others } = enumerators(native('job.h'), 'Outcome')
  expect(returned).toBe(0)
  expect(others).toEqual(camelCased(Outcome))
  expect(Object.values(Outcome).every((number) => number < 0)).toBe(true)
})

test('a kind of mechanism parameter has the same number on both sides', () => {
  // `ulong` would read as a type in C++
  const { ulong, ...others } = camelCased(ParameterKind)
  expect(enumerators(native('read-arguments.cc'), 'ParameterKind')).toEqual({ ...others, number: ulong })
})

test('functions are numbered in the order of the standard: 2.40, then what 3.0 adds', () => {
  const header = native('cryptoki.h')
  const declared = [...header.matchAll(/\bX\((C_\w+),/g)].map(([, name]) => name)
  expect(declared).toHaveLength(68 + 4)
  expect(binding.functionNames).toEqual(['', ...declared])
  expect(declared.slice(0, 4)).toEqual(['C_Initialize', 'C_Finalize', 'C_GetInfo', 'C_GetFunctionList'])
  expect(declared[67]).toBe('C_WaitForSlotEvent')
})

test('a function number that is none has no name', () => {
  expect([0, -1, binding.functionNames.length, Number.NaN].map(functionName)).toEqual(['', '', '', ''])
  expect(functionName(1)).toBe('C_Initialize')
})

test('a CK_ULONG is as wide in what TypeScript packs as in the addon', () => {
  expect(ULONG_SIZE).toBe(binding.ulongSize)
})
