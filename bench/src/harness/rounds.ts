import type { Context } from './context.js'
import type { Window } from './load.js'
import type { Sample } from './result.js'

/** One contender under one condition. */
export interface Cell {
  name: string
  run(window: Window): Promise<Sample>
}

/**
 * Runs the cells in turn, A B C A B C, so that what the machine does meanwhile falls on all of them, and gives each cell's
 * samples, one a round. A first turn, not counted, lets compilers, caches and pools settle.
 */
export async function interleave(context: Context, cells: readonly Cell[]): Promise<Map<string, Sample[]>> {
  const samples = new Map<string, Sample[]>(cells.map((cell) => [cell.name, []]))
  const { rounds, settle, window } = context.plan
  for (let round = settle ? 0 : 1; round <= rounds; round++) {
    for (const cell of cells) {
      const sample = await cell.run(window)
      context.log(
        `${round === 0 ? 'settling' : `round ${round}/${rounds}`}  ${cell.name}: ${Math.round(sample.ops_per_s)} op/s`,
      )
      if (round > 0) samples.get(cell.name)?.push(sample)
    }
  }
  return samples
}

/** The samples of a cell that must have run. */
export function samplesOf(samples: ReadonlyMap<string, Sample[]>, name: string): Sample[] {
  const found = samples.get(name)
  if (found === undefined || found.length === 0) throw new Error(`no samples of '${name}' were taken`)
  return found
}
