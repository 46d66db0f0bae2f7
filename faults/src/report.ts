import type { RuleName } from './exclusions.js'
import { nameOf } from './cells.js'
import type { Finished } from './run/supervise.js'
import type { Violation } from './violation.js'

/** What a run has come to. */
export interface Summary {
  seed: number
  /** cells that were run */
  cells: number
  /** of those, how many had their fault meet a call */
  met: number
  violations: (Violation & { cell: string })[]
  excluded: Record<string, number>
  gaps: Record<string, number>
  promises: { fulfilled: number; rejected: number; unsettled: number }
  /** the latest that any promise settled after its deadline */
  latestMs: number
  /** the longest that an event loop stood still */
  longestHold: { sleptMs: number; ranMs: number }
  seconds: number
}

export function summarise(
  finished: readonly Finished[],
  known: { seed: number; excluded: ReadonlyMap<RuleName, number>; gaps: ReadonlyMap<string, number>; seconds: number },
): Summary {
  const results = finished.flatMap(({ result }) => result ?? [])
  const most = (values: number[]): number => Number(values.reduce((a, b) => Math.max(a, b), 0).toFixed(1))
  const sum = (name: 'fulfilled' | 'rejected' | 'unsettled'): number =>
    results.reduce((total, { tally }) => total + tally[name], 0)
  return {
    seed: known.seed,
    cells: finished.length,
    met: results.filter(({ met }) => met).length,
    violations: finished.flatMap(({ cell, violations }) => violations.map((each) => ({ cell: nameOf(cell), ...each }))),
    excluded: Object.fromEntries(known.excluded),
    gaps: Object.fromEntries(known.gaps),
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
  const { cells, met, violations, excluded, gaps, promises, latestMs, longestHold, seconds, seed } = summary
  const lines = [
    ...Object.entries(excluded).map(([why, count]) => `${count} cells left out: ${why}`),
    ...Object.entries(gaps).map(([why, count]) => `${count} cells not run, a known gap: ${why}`),
    `${promises.fulfilled} answers, each verified; ${promises.rejected} errors, each typed; ${promises.unsettled} promises unsettled`,
    `the latest promise settled ${latestMs} ms after its deadline`,
    `the longest hold of the event loop: ${longestHold.sleptMs} ms asleep, ${longestHold.ranMs} ms computing`,
    `${cells - met} cells in which the library did not come to call the function while it failed`,
    `seed ${seed}, ${seconds} s`,
    `${cells} cells, ${violations.length} violations`,
  ]
  return `${lines.join('\n')}\n`
}
