import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { allCells, nameOf, sample } from '../src/cells.js'
import { FAULTS } from '../src/faults.js'
import { FUNCTIONS, loadFor } from '../src/functions.js'
import { MOMENTS } from '../src/moments.js'
import { MUTATIONS } from '../src/mutations.js'

const library = fileURLToPath(new URL('../../packages/pkcs11-pool/', import.meta.url))

test('the product has every function, fault and moment, and each cell is either run or left out by a rule', () => {
  const { cells, excluded } = allCells()
  const left = [...excluded.values()].reduce((a, b) => a + b, 0)
  expect(cells.length + left).toBe(FUNCTIONS.length * Object.keys(FAULTS).length * MOMENTS.length)
  expect(new Set(cells.map(nameOf)).size).toBe(cells.length)
})

test('every function that the native code calls is in the product', () => {
  const folder = `${library}native/`
  const source = readdirSync(folder)
    .filter((name) => name.endsWith('.cc'))
    .map((name) => readFileSync(`${folder}${name}`, 'utf8'))
    .join('\n')
  const called = [
    ...source.matchAll(/PKCS11_POOL_CALL\([^,]+,[^,]+, *(C_\w+)/g),
    ...source.matchAll(/->(C_\w+)\(/g),
    ...source.matchAll(/CK_FUNCTION_LIST::(C_\w+)/g),
    ...source.matchAll(/dlsym\(library, "(C_\w+)"/g),
  ].map(([, name]) => name)
  expect(new Set(called).size).toBeGreaterThan(35)
  for (const name of called) expect(FUNCTIONS).toContain(name)
})

test('each function has a load', () => {
  for (const fn of FUNCTIONS) expect(loadFor(fn).length).toBeGreaterThan(0)
})

test('the same seed draws the same cells, and none twice', () => {
  const { cells } = allCells()
  const drawn = sample(cells, 50, 7)
  expect(sample(cells, 50, 7)).toEqual(drawn)
  expect(new Set(drawn.map(nameOf)).size).toBe(50)
  expect(sample(cells, 50, 8)).not.toEqual(drawn)
})

test('each mutation still finds the text that it replaces, and cells to run', () => {
  const names = allCells().cells.map(nameOf)
  for (const { file, before, cells } of MUTATIONS) {
    expect(readFileSync(`${library}${file}`, 'utf8').split(before)).toHaveLength(2)
    for (const part of cells) expect(names.some((name) => name.includes(part))).toBe(true)
  }
})
