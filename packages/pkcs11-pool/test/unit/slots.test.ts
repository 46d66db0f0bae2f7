import { expect, test } from 'vitest'
import { Slots } from '../../src/internal/slots.js'

test('each value has a number of its own, by which it is found until it is removed', () => {
  const slots = new Slots<string>()
  const [a, b, c] = [slots.add('a'), slots.add('b'), slots.add('c')]
  expect([a, b, c].map((slot) => slots.at(slot))).toEqual(['a', 'b', 'c'])
  slots.remove(b)
  expect([a, b, c].map((slot) => slots.at(slot))).toEqual(['a', undefined, 'c'])
  expect(slots.at(1000)).toBeUndefined()
})

test('a number is given again only after its value was removed', () => {
  const slots = new Slots<number>()
  const live = new Map<number, number>()
  let made = 0
  for (let round = 0; round < 50; round += 1) {
    for (let more = 0; more < 7; more += 1) {
      const slot = slots.add(made)
      expect(live.has(slot)).toBe(false)
      live.set(slot, made)
      made += 1
    }
    for (const slot of [...live.keys()].filter((_, index) => index % 2 === round % 2)) {
      slots.remove(slot)
      live.delete(slot)
    }
    for (const [slot, value] of live) expect(slots.at(slot)).toBe(value)
  }
  expect(Math.max(...live.keys())).toBeLessThan(20)
})
