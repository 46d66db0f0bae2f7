import { readFileSync } from 'node:fs'
import pkcs11js from 'pkcs11js'
import { expect, test } from 'vitest'
import { FUNCTION_NAMES, RETURN_VALUES } from '../../src/index.js'

test('the functions are those of the module, in its order', () => {
  const header = readFileSync(new URL('../../native/cryptoki.h', import.meta.url), 'utf8')
  expect([...header.matchAll(/\bX\((C_\w+),/g)].map(([, name]) => name)).toEqual([...FUNCTION_NAMES])
})

test('the return values that another binding knows are the same there', () => {
  const theirs = Object.entries(pkcs11js).filter(([name]) => name.startsWith('CKR_') && name in RETURN_VALUES)
  expect(theirs.length).toBeGreaterThan(80)
  expect(Object.fromEntries(theirs)).toEqual(
    Object.fromEntries(theirs.map(([name]) => [name, RETURN_VALUES[name as keyof typeof RETURN_VALUES]])),
  )
})
