import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { addAbortListener, removeAbortListener } from '../../src/internal/abort-listeners.js'

function listening(controller: AbortController): number {
  return getEventListeners(controller.signal, 'abort').length
}

test('any number of listeners is one of the signal’s, told in the order they came, once', () => {
  const controller = new AbortController()
  const told: number[] = []
  for (let i = 0; i < 20; i++) addAbortListener(controller.signal, { handleEvent: () => told.push(i) })
  expect(listening(controller)).toBe(1)
  controller.abort()
  controller.signal.dispatchEvent(new Event('abort'))
  expect(told).toEqual(Array.from({ length: 20 }, (_, i) => i))
  expect(listening(controller)).toBe(0)
})

test('nothing is left on a signal when the last listener is taken off, and it may be used again', () => {
  const controller = new AbortController()
  const told: string[] = []
  const one = { handleEvent: () => told.push('one') }
  const two = { handleEvent: () => told.push('two') }
  addAbortListener(controller.signal, one)
  addAbortListener(controller.signal, two)
  removeAbortListener(controller.signal, one)
  removeAbortListener(controller.signal, one)
  expect(listening(controller)).toBe(1)
  removeAbortListener(controller.signal, two)
  expect(listening(controller)).toBe(0)
  addAbortListener(controller.signal, two)
  controller.abort()
  expect(told).toEqual(['two'])
})

test('a listener that was taken off by one before it is not told', () => {
  const controller = new AbortController()
  const told: string[] = []
  const later = { handleEvent: () => told.push('later') }
  const first = {
    handleEvent: () => {
      told.push('first')
      removeAbortListener(controller.signal, later)
    },
  }
  addAbortListener(controller.signal, first)
  addAbortListener(controller.signal, later)
  controller.abort()
  expect(told).toEqual(['first'])
  expect(listening(controller)).toBe(0)
})

test('signals do not share', () => {
  const [one, other] = [new AbortController(), new AbortController()]
  let told = 0
  addAbortListener(one.signal, { handleEvent: () => (told += 1) })
  addAbortListener(other.signal, { handleEvent: () => (told += 10) })
  other.abort()
  expect(told).toBe(10)
})
