import type { FunctionName } from 'pkcs11-chaos'
import { FAULTS, type FaultName } from './faults.js'
import { excludedBy, type RuleName } from './exclusions.js'
import { FUNCTIONS } from './functions.js'
import { MOMENTS, type MomentName } from './moments.js'

/** One function, failing in one way, at one moment. */
export interface Cell {
  fn: FunctionName
  fault: FaultName
  moment: MomentName
}

export function nameOf({ fn, fault, moment }: Cell): string {
  return `${fn}:${fault}:${moment}`
}

/** The whole product, and of the cells that make no sense how many each rule leaves out. */
export function allCells(): { cells: Cell[]; excluded: Map<RuleName, number> } {
  const cells: Cell[] = []
  const excluded = new Map<RuleName, number>()
  for (const fn of FUNCTIONS) {
    for (const fault of Object.keys(FAULTS) as FaultName[]) {
      for (const moment of MOMENTS) {
        const cell = { fn, fault, moment }
        const rule = excludedBy(cell)
        if (rule === undefined) cells.push(cell)
        else excluded.set(rule, (excluded.get(rule) ?? 0) + 1)
      }
    }
  }
  return { cells, excluded }
}

/** `count` of them, the same for the same seed. */
export function sample(cells: readonly Cell[], count: number, seed: number): Cell[] {
  const left = [...cells]
  const random = mulberry(seed)
  const drawn: Cell[] = []
  while (drawn.length < count && left.length > 0) drawn.push(...left.splice(Math.floor(random() * left.length), 1))
  return drawn
}

/** Mulberry32: a generator of 32 bits of state, enough to draw with. */
function mulberry(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
