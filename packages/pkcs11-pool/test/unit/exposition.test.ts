import fc from 'fast-check'
import { expect, test } from 'vitest'
import { toPrometheusText } from '../../src/metrics/exposition.js'

/** The samples of a text in Prometheus' format 0.0.4, read by its grammar. */
function parse(text: string): { name: string; labels: Record<string, string>; value: number }[] {
  expect(text.endsWith('\n')).toBe(true)
  return text
    .slice(0, -1)
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .map((line) => {
      const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line)
      if (match === null) throw new Error(`no sample: ${line}`)
      const pairs = [...(match[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)",?/g)]
      const unescape = (value: string) =>
        value.replaceAll(/\\(.)/g, (_, character: string) => (character === 'n' ? '\n' : character))
      return {
        name: match[1] as string,
        labels: Object.fromEntries(pairs.map(([, name, value]) => [name as string, unescape(value as string)])),
        value: Number(match[3]),
      }
    })
}

const metric = { name: 'calls_total', type: 'counter', help: 'Calls.', value: 3 } as const

test('a figure has its help, its type and its value', () => {
  expect(toPrometheusText({ metrics: [metric], labels: {} })).toBe(
    '# HELP calls_total Calls.\n# TYPE calls_total counter\ncalls_total 3\n',
  )
})

test('whatever a label holds, it is read back as it was', () => {
  const hostile = fc.string({ unit: fc.constantFrom('"', '\\', '\n', 'n', '{', '}', ',', '=', ' ', 'é') })
  fc.assert(
    fc.property(hostile, (token) => {
      expect(
        parse(toPrometheusText({ metrics: [metric, { ...metric, name: 'other' }], labels: { token, more: 'x' } })),
      ).toEqual([
        { name: 'calls_total', labels: { token, more: 'x' }, value: 3 },
        { name: 'other', labels: { token, more: 'x' }, value: 3 },
      ])
    }),
  )
})

test('what several series have under one name stands together, its help told once', () => {
  expect(
    toPrometheusText(
      { metrics: [metric, { ...metric, name: 'other' }], labels: { member: 'a' } },
      { metrics: [{ ...metric, value: 4 }], labels: { member: 'b' } },
    ),
  ).toBe(
    '# HELP calls_total Calls.\n# TYPE calls_total counter\ncalls_total{member="a"} 3\ncalls_total{member="b"} 4\n' +
      '# HELP other Calls.\n# TYPE other counter\nother{member="a"} 3\n',
  )
})
