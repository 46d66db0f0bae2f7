import { expect, test } from 'vitest'
import { lineChart } from '../src/plot/line-chart.js'

const chart = {
  title: 'A < B & "C"',
  xTitle: 'seconds',
  xMax: 10,
  phases: [
    { name: 'first', x: 0 },
    { name: 'second', x: 5 },
  ],
  panels: [
    {
      title: 'size',
      series: [
        {
          name: 'n',
          colour: '#000000',
          steps: true,
          points: [
            [0, 0],
            [5, 40],
            [10, 20],
          ] as const,
        },
      ],
    },
    {
      title: 'rate',
      series: [
        {
          name: 'r',
          colour: '#111111',
          points: [
            [0, 100],
            [10, 0],
          ] as const,
        },
      ],
    },
  ],
}

test('values lie where time and the next round number above the largest put them', () => {
  const svg = lineChart(chart)
  // The plot is 820 wide from 60 on, a panel 150 high; the first begins at 80 and reaches up to 40.
  expect(svg).toContain('<path d="M60 230H470V80H880V155" fill="none" stroke="#000000"')
  expect(svg).toContain('<path d="M60 280L880 430" fill="none" stroke="#111111"')
  expect(svg).toMatch(/x="474" [^>]*>second</)
})

test('what is written is escaped, and every element is closed', () => {
  const svg = lineChart(chart)
  expect(svg).toContain('<title>A &lt; B &amp; &quot;C&quot;</title>')
  const opened = [...svg.matchAll(/<(\w+)(?: [^>]*[^/])?>/g)].map(([, name]) => name)
  const closed = [...svg.matchAll(/<\/(\w+)>/g)].map(([, name]) => name)
  expect(closed.toSorted()).toEqual(opened.toSorted())
})

test('a panel with nothing but zeros, or with nothing, is drawn', () => {
  const flat = { name: 'n', colour: '#000000', points: [[0, 0]] as const }
  const svg = lineChart({
    ...chart,
    panels: [
      { title: 'a', series: [flat] },
      { title: 'b', series: [] },
    ],
  })
  expect(svg).not.toContain('NaN')
})
