import { expect, test } from 'vitest'
import { nearest } from '../../src/internal/nearest.js'

const KNOWN = ['maxSize', 'minSize', 'idleTimeoutMs', 'acquireTimeoutMs']

test.each([
  ['maxsize', 'maxSize'],
  ['max_size', 'maxSize'],
  ['mniSize', 'minSize'],
  ['idleTimeout', 'idleTimeoutMs'],
  ['aquireTimeoutMs', 'acquireTimeoutMs'],
])('%s is taken for %s', (name, meant) => {
  expect(nearest(name, KNOWN)).toBe(meant)
})

test('what resembles nothing known is taken for nothing', () => {
  expect(nearest('colour', KNOWN)).toBeUndefined()
  expect(nearest('', KNOWN)).toBeUndefined()
})
