import { expect, test } from 'vitest'
import { summarise, target } from '../src/harness/statistics.js'
import { formatResult } from '../src/table.js'

test('a table names each contender, its figures and whether the targets were met', () => {
  const sample = { ops_per_s: 12_345.6, p50_us: 31.25, p95_us: 40, p99_us: 123.4 }
  const text = formatResult({
    scenario: 'engine',
    rows: [summarise('ours', [sample], [{ ...sample, ops_per_s: 13_717.3 }], { limit: 'C' })],
    targets: [target('ours against C', { at_least: 0.95 }, [0.9]), target('delay', { at_most: 10 }, [1])],
  })
  expect(text).toMatch(/^## engine\n/)
  expect(text).toMatch(/^ours +12,346 +12,346-12,346 +31\.3 +40\.0 +123 +0\.90 +limit C$/m)
  expect(text).toMatch(/^ours against C +>= 0\.95 +0\.9 +0\.9-0\.9 +NOT MET$/m)
  expect(text).toMatch(/^delay +<= 10 +1 +1-1 +met$/m)
})
