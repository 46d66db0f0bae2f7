import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compareInventories } from '../../src/group/compare.js'
import type { ListedKey } from '../../src/group/inventory.js'

function key(label: string, compared: Partial<ListedKey['compared']> = {}, id = '0x01'): ListedKey {
  const nothing = {
    keyType: undefined,
    sizeBits: undefined,
    checkValue: undefined,
    modulus: undefined,
    curve: undefined,
    point: undefined,
  }
  return { class: 'CKO_SECRET_KEY', label, id, compared: { ...nothing, ...compared } }
}

const compareAll = (inventories: Record<string, ListedKey[]>) =>
  compareInventories(new Map(Object.entries(inventories)))
const compare = (inventories: Record<string, ListedKey[]>) => compareAll(inventories).divergences

test('members with the same keys in any order are alike', () => {
  const keys = fc.array(fc.tuple(fc.constantFrom('x', 'y', ''), fc.constantFrom('0x01', '0x02'), fc.nat(2)))
  fc.assert(
    fc.property(keys, fc.infiniteStream(fc.nat()), (given, order) => {
      const one = given.map(([label, id, value]) => key(label, { checkValue: String(value) }, id))
      const other = one
        .map((each) => [order.next().value as number, each] as const)
        .toSorted(([first], [second]) => first - second)
        .map(([, each]) => each)
      expect(compare({ a: one, b: other })).toEqual([])
    }),
  )
})

test('what a single change of one key makes different is found, and nothing else', () => {
  const names = fc.uniqueArray(fc.string({ maxLength: 3 }), { minLength: 1 })
  const change = fc.constantFrom('missing', 'extra', 'checkValue', 'number')
  fc.assert(
    fc.property(names, fc.nat(), change, (labels, at, what) => {
      const one = labels.map((label) => key(label, { checkValue: 'same' }))
      const changed = one[at % one.length] as ListedKey
      const others = one.filter((each) => each !== changed)
      const b = {
        missing: others,
        extra: [...one, { ...changed, id: '0xff' }],
        checkValue: [...others, key(changed.label, { checkValue: 'other' })],
        number: [...one, changed],
      }[what]
      expect(compare({ a: one, b })).toEqual([
        {
          class: 'CKO_SECRET_KEY',
          label: changed.label,
          id: what === 'extra' ? '0xff' : '0x01',
          on: what === 'extra' ? ['b'] : what === 'missing' ? ['a'] : ['a', 'b'],
          missingOn: what === 'extra' ? ['a'] : what === 'missing' ? ['b'] : [],
          differs: what === 'checkValue' || what === 'number' ? [what] : [],
        },
      ])
    }),
  )
})

test('what one token does not tell is not compared', () => {
  expect(compare({ a: [key('k', { checkValue: 'aa' })], b: [key('k')], c: [key('k', { checkValue: 'aa' })] })).toEqual(
    [],
  )
  expect(
    compare({ a: [key('k', { checkValue: 'aa' })], b: [key('k')], c: [key('k', { checkValue: 'bb' })] }),
  ).toMatchObject([{ differs: ['checkValue'] }])
})

test('a key is proven by what all who have it tell, and only then', () => {
  const unproven = (inventories: Record<string, ListedKey[]>) =>
    compareAll(inventories).unproven.map(({ label }) => label)
  expect(unproven({ a: [key('k', { checkValue: 'aa' })], b: [key('k', { checkValue: 'aa' })] })).toEqual([])
  expect(unproven({ a: [key('k', { modulus: 'aa' })], b: [key('k', { modulus: 'aa' })] })).toEqual([])
  expect(unproven({ a: [key('k', { checkValue: 'aa' })], b: [key('k')] })).toEqual(['k'])
  expect(unproven({ a: [key('k', { checkValue: 'aa' })], b: [key('k', { point: 'aa' })] })).toEqual(['k'])
  expect(unproven({ a: [key('k', { curve: 'aa' })], b: [key('k', { curve: 'aa' })] })).toEqual(['k'])
  expect(unproven({ a: [key('k')], b: [] })).toEqual([])
})
