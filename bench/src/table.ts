import type { Row, ScenarioResult, Target } from './harness/result.js'

/** A scenario's rows and targets as text for a terminal. */
export function formatResult({ scenario, rows, targets }: ScenarioResult): string {
  return [`## ${scenario}`, '', formatRows(rows), '', formatTargets(targets), ''].join('\n')
}

function formatRows(rows: readonly Row[]): string {
  const header = ['', 'op/s', '(min-max)', 'p50 µs', 'p95 µs', 'p99 µs', 'of limit', '']
  return align([
    header,
    ...rows.map((row) => [
      row.name,
      figure(row.ops_per_s),
      `${figure(row.spread.ops_per_s[0])}-${figure(row.spread.ops_per_s[1])}`,
      figure(row.p50_us),
      figure(row.p95_us),
      figure(row.p99_us),
      row.ratio_to_limit === null ? '' : row.ratio_to_limit.toFixed(2),
      Object.entries(row.details)
        .map(([key, value]) => `${key} ${value}`)
        .join(', '),
    ]),
  ])
}

function formatTargets(targets: readonly Target[]): string {
  return align([
    ['target', 'asked', 'got', '(min-max)', ''],
    ...targets.map((target) => [
      target.measure,
      target.at_least === undefined ? `<= ${target.at_most}` : `>= ${target.at_least}`,
      String(target.got),
      `${target.spread[0]}-${target.spread[1]}`,
      target.met ? 'met' : 'NOT MET',
    ]),
  ])
}

function figure(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3)
}

/** The first and last column to the left, those between, all of them figures, to the right. */
export function align(lines: readonly string[][]): string {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  return lines
    .map((line) =>
      line
        .map((cell, column) =>
          column === 0 || column === line.length - 1
            ? cell.padEnd(widths[column] ?? 0)
            : cell.padStart(widths[column] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
