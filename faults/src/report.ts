import type { RuleName } from './exclusions.js'
import { nameOf } from './cells.js'
import type { Finished } from './run/supervise.js'
import { INVARIANTS, type Violation } from './violation.js'

/** What a run has come to. */
export interface Summary {
  seed: number
  /** cells that were run */
  cells: number
  /** of those, the ones in which the library did not come to call the function while it failed */
  unmet: string[]
  violations: (Violation & { cell: string })[]
  /** what did not hold once, and did twice when the cell was run again; a machine that had other things to do explains it, a rare race too */
  unrepeated: (Violation & { cell: string })[]
  excluded: Record<string, number>
  promises: { fulfilled: number; rejected: number; unsettled: number }
  /** the latest that any promise settled after its deadline */
  latestMs: number
  /** the longest that an event loop stood still */
  longestHold: { sleptMs: number; ranMs: number }
  seconds: number
}

export function summarise(
  finished: readonly Finished[],
  known: { seed: number; excluded: ReadonlyMap<RuleName, number>; seconds: number },
): Summary {
  const results = finished.flatMap(({ result }) => result ?? [])
  const most = (values: number[]): number => Number(values.reduce((a, b) => Math.max(a, b), 0).toFixed(1))
  const sum = (name: 'fulfilled' | 'rejected' | 'unsettled'): number =>
    results.reduce((total, { tally }) => total + tally[name], 0)
  return {
    seed: known.seed,
    cells: finished.length,
    unmet: finished.filter(({ result }) => result?.met === false).map(({ cell }) => nameOf(cell)),
    violations: finished.flatMap(({ cell, violations }) => violations.map((each) => ({ cell: nameOf(cell), ...each }))),
    unrepeated: finished.flatMap(({ cell, unrepeated }) => unrepeated.map((each) => ({ cell: nameOf(cell), ...each }))),
    excluded: Object.fromEntries(known.excluded),
    promises: { fulfilled: sum('fulfilled'), rejected: sum('rejected'), unsettled: sum('unsettled') },
    latestMs: most(results.map(({ latestMs }) => latestMs)),
    longestHold: {
      sleptMs: most(results.map(({ hold }) => hold.sleptMs)),
      ranMs: most(results.map(({ hold }) => hold.ranMs)),
    },
    seconds: Number(known.seconds.toFixed(1)),
  }
}

export function formatSummary(summary: Summary): string {
  const { cells, unmet, violations, unrepeated, excluded, promises, latestMs, longestHold, seconds, seed } = summary
  const lines = [
    ...Object.entries(excluded).map(([why, count]) => `${count} cells left out: ${why}`),
    `${promises.fulfilled} answers, each verified; ${promises.rejected} errors, each typed; ${promises.unsettled} promises unsettled`,
    `the latest promise settled ${latestMs} ms after its deadline`,
    `the longest hold of the event loop: ${longestHold.sleptMs} ms asleep, ${longestHold.ranMs} ms computing`,
    `${unmet.length} cells in which the library did not come to call the function while it failed${named(unmet)}`,
    ...unrepeated.map(
      ({ cell, invariant, detail }) => `once, and not again: ${cell}: ${INVARIANTS[invariant]}: ${detail}`,
    ),
    `seed ${seed}, ${seconds} s`,
    `${cells} cells, ${violations.length} violations`,
  ]
  return `${lines.join('\n')}\n`
}

/** Enough of them to look at. */
function named(cells: readonly string[]): string {
  return cells.length === 0 ? '' : `: ${cells.slice(0, 10).join(', ')}${cells.length > 10 ? ', …' : ''}`
}
