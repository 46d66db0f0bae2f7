import type { Counters, Misuse } from '../counters.js'
import type { StoredRule } from '../rule-store.js'

/** Rows in columns; the first column is text, the others are numbers. */
function table(rows: readonly (readonly (string | number)[])[]): string {
  const widths = rows.reduce<number[]>(
    (widest, row) => row.map((cell, column) => Math.max(widest[column] ?? 0, String(cell).length)),
    [],
  )
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          column === 0 ? String(cell).padEnd(widths[0] ?? 0) : String(cell).padStart(widths[column] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('')
}

export function formatStats(counters: Counters): string {
  const { functions, logins, sessions, hanging, processes } = counters
  const calls = Object.entries(functions)
  const running = processes.filter(({ ended }) => !ended).length
  return [
    table([
      ['function', 'calls', 'in flight', 'failed', 'injected'],
      ...calls.map(([name, each]) => [name, each.calls, each.inFlight, each.failed, each.injected]),
    ]),
    `logins: ${logins.accepted} accepted, ${logins.already} already in, ${logins.rejected} rejected, ${logins.failed} failed\n`,
    `sessions: ${sessions.open} open, ${sessions.peak} at most, ${sessions.lost} lost\n`,
    `hanging: ${hanging}\n`,
    `processes: ${running} running, ${processes.length - running} ended\n`,
  ].join('')
}

export function formatMisuse(misuse: readonly Misuse[]): string {
  if (misuse.length === 0) return 'misuse: none seen\n'
  return misuse.map(({ kind, count, first }) => `misuse: ${kind}, ${count} times; first: ${first}\n`).join('')
}

export function formatRules(rules: readonly StoredRule[]): string {
  return rules.map(({ id, text }) => `${id} ${text}\n`).join('')
}
