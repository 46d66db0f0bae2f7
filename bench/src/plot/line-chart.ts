/** One line of a panel: values at times, in the order of time. */
export interface Series {
  name: string
  colour: string
  points: readonly (readonly [x: number, y: number])[]
  /** each value holds until the next one, as a size does */
  steps?: boolean
}

export interface Panel {
  title: string
  series: readonly Series[]
}

/** What all panels share: the time, and what happened when. */
export interface Chart {
  title: string
  xTitle: string
  xMax: number
  /** begins at `x`; each lasts until the next */
  phases: readonly { name: string; x: number }[]
  panels: readonly Panel[]
}

const WIDTH = 900
const PANEL_HEIGHT = 150
const LEFT = 60
const RIGHT = 20
const TOP = 80
const GAP = 50
const FONT = 'font-family="sans-serif" font-size="12" fill="#222"'

/** Panels of lines one below the other, over one time, as SVG. */
export function lineChart({ title, xTitle, xMax, phases, panels }: Chart): string {
  const plotWidth = WIDTH - LEFT - RIGHT
  const x = (value: number) => round(LEFT + (value / xMax) * plotWidth)
  const height = TOP + panels.length * (PANEL_HEIGHT + GAP) + 10
  const bottom = height - GAP - 10

  const parts = panels.flatMap((panel, place) => drawPanel(panel, TOP + place * (PANEL_HEIGHT + GAP), x))
  const marks = phases.flatMap(({ name, x: from }) => [
    `<line x1="${x(from)}" y1="${TOP - 38}" x2="${x(from)}" y2="${bottom}" stroke="#bbb" stroke-dasharray="3 3"/>`,
    text(x(from) + 4, TOP - 26, name),
  ])
  const ticks = ticksOf(xMax, 10).map((value) => text(x(value), bottom + 18, String(value), 'middle'))
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escape(title)}">`,
    `<title>${escape(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    `<g ${FONT}>`,
    text(LEFT, 24, title, 'start', 'bold'),
    ...marks,
    ...parts,
    ...ticks,
    text(WIDTH - RIGHT, bottom + 34, xTitle, 'end'),
    '</g>',
    '</svg>',
    '',
  ].join('\n')
}

function drawPanel({ title, series }: Panel, top: number, x: (value: number) => number): string[] {
  const yMax = niceMaximum(Math.max(0, ...series.flatMap(({ points }) => points.map(([, value]) => value))))
  const y = (value: number) => round(top + PANEL_HEIGHT - (value / yMax) * PANEL_HEIGHT)
  const grid = [0, yMax / 2, yMax].flatMap((value) => [
    `<line x1="${LEFT}" y1="${y(value)}" x2="${WIDTH - RIGHT}" y2="${y(value)}" stroke="#ddd"/>`,
    text(LEFT - 6, y(value) + 4, String(round(value)), 'end'),
  ])
  const lines = series.map(
    ({ colour, points, steps = false }) =>
      `<path d="${pathOf(points, x, y, steps)}" fill="none" stroke="${colour}" stroke-width="1.5"/>`,
  )
  let at = WIDTH - RIGHT
  const legend = series.toReversed().map(({ name, colour }) => {
    const entry = text(at, top - 6, `— ${name}`, 'end', 'normal', colour)
    at -= 7 * (name.length + 4)
    return entry
  })
  return [...grid, ...lines, text(LEFT, top - 6, title), ...legend]
}

function pathOf(
  points: Series['points'],
  x: (value: number) => number,
  y: (value: number) => number,
  steps: boolean,
): string {
  return points
    .map(([px, py], place) => {
      if (place === 0) return `M${x(px)} ${y(py)}`
      return steps ? `H${x(px)}V${y(py)}` : `L${x(px)} ${y(py)}`
    })
    .join('')
}

/** The next of 1, 2, 4, 6 and 8 times a power of ten. */
function niceMaximum(value: number): number {
  if (value <= 0) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  return power * ([1, 2, 4, 6, 8, 10].find((factor) => factor * power >= value) ?? 10)
}

function ticksOf(max: number, count: number): number[] {
  const step = niceMaximum(max / count)
  return Array.from({ length: Math.floor(max / step) + 1 }, (_, place) => round(place * step))
}

function text(x: number, y: number, content: string, anchor = 'start', weight = 'normal', colour = '#222'): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" font-weight="${weight}" fill="${colour}">${escape(content)}</text>`
}

function escape(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

function round(value: number): number {
  return Number(value.toFixed(2))
}
