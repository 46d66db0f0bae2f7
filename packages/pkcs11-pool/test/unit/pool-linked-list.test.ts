import { expect, test } from 'vitest'
import { LinkedList, ListNode } from '../../src/internal/linked-list.js'

class Item extends ListNode<Item> {
  constructor(readonly name: string) {
    super()
  }
}

const [a, b, c] = ['a', 'b', 'c'].map((name) => new Item(name)) as [Item, Item, Item]

function backwards(list: LinkedList<Item>): string {
  let names = ''
  for (let item = list.last; item !== undefined; item = item.previous) names += item.name
  return names
}

function forwards(list: LinkedList<Item>): string {
  return list
    .toArray()
    .map((item) => item.name)
    .join('')
}

test('elements can be added at both ends and taken from anywhere', () => {
  const list = new LinkedList<Item>()
  list.addLast(b)
  list.addFirst(a)
  list.addLast(c)
  expect([forwards(list), backwards(list), list.length]).toEqual(['abc', 'cba', 3])
  expect(list.remove(b)).toBe(true)
  expect([forwards(list), backwards(list), list.length]).toEqual(['ac', 'ca', 2])
  expect(list.removeFirst()).toBe(a)
  expect(list.remove(c)).toBe(true)
  expect([list.first, list.last, list.length, list.removeFirst()]).toEqual([undefined, undefined, 0, undefined])
})

test('an element is in one list at most, and only that list can take it out', () => {
  const one = new LinkedList<Item>()
  const other = new LinkedList<Item>()
  one.addLast(a)
  expect(() => other.addLast(a)).toThrow('in a list already')
  expect(other.remove(a)).toBe(false)
  expect(one.remove(a)).toBe(true)
  expect(one.remove(a)).toBe(false)
  expect(one.length).toBe(0)
})
