import type { CellResult } from '../cell/run-cell.js'
import { type Cell, nameOf } from '../cells.js'
import { LOADING } from '../functions.js'
import type { Invariant, Violation } from '../violation.js'
import { WorkerProcess } from './worker-process.js'

/** A cell that was run, and what came of it. */
export interface Finished {
  cell: Cell
  violations: Violation[]
  /** what did not hold the first time, and did when the cell was run again */
  unrepeated: Violation[]
  /** undefined where its process died */
  result: CellResult | undefined
}

/** How many broken cells are enough to stop at. */
const MOST_BROKEN = 200
/** How often what a busy machine may have done has to happen again, in processes of their own: it does not do it thrice. */
const CONFIRMATIONS = 2

/** What changes a process for good when it fails. */
const UNSETTLING: readonly string[] = ['C_Initialize', 'C_Finalize']

/** Runs cells in several processes at once, and a new one after each that died or whose cell broke an invariant. */
export async function supervise(
  cells: readonly Cell[],
  workers: number,
  onFinished: (finished: Finished) => void,
): Promise<Finished[]> {
  const queue = [...cells]
  const all: Finished[] = []
  let broken = 0
  const lane = async (): Promise<void> => {
    let worker: WorkerProcess | undefined
    /**
     * In the worker that there is, or in a new one. What may have changed it ends it: a violation, and a C_Initialize or C_Finalize that
     * failed, after which the library does not know whose initialisation there is, and never finalises the module again.
     */
    const runIt = async (cell: Cell): Promise<Finished> => {
      // What happens while the module is loaded happens once a process.
      const cold = (LOADING as readonly string[]).includes(cell.fn)
      if (cold) await worker?.end()
      if (cold || worker?.alive !== true) worker = await WorkerProcess.start(!cold)
      const finished = toFinished(cell, await worker.run(cell))
      if (cold || UNSETTLING.includes(cell.fn) || finished.violations.length > 0) await worker.end()
      return finished
    }
    for (let cell = queue.shift(); cell !== undefined && broken < MOST_BROKEN; cell = queue.shift()) {
      const first = await runIt(cell)
      let finished = first
      for (let again = 0; again < CONFIRMATIONS && mayBeTheMachine(finished); again += 1) finished = await runIt(cell)
      if (finished.violations.length === 0) finished.unrepeated = first.violations
      all.push(finished)
      if (finished.violations.length > 0) broken += 1
      onFinished(finished)
    }
    await worker?.end()
  }
  await Promise.all(Array.from({ length: Math.min(workers, cells.length) }, lane))
  return all
}

function toFinished(cell: Cell, answer: Awaited<ReturnType<WorkerProcess['run']>>): Finished {
  if (!('died' in answer)) return { cell, violations: answer.violations, unrepeated: [], result: answer }
  const detail = `the process of ${nameOf(cell)} ended: ${answer.died}`
  return { cell, violations: [{ invariant: 'process', detail }], unrepeated: [], result: undefined }
}

/**
 * Without a processor for long enough, the loop stands still, calls pass their deadlines though the fault is over, and no client can be had
 * that could meet the fault. And SoftHSM does not find one in some thousand keys that were just made, while other threads make some: shown
 * without the library, see docs/reliability.md.
 */
function mayBeTheMachine({ violations, result }: Finished): boolean {
  if (violations.length === 0) return result?.met === false
  return violations.every(({ invariant }) => MAY_BE_THE_MACHINE.has(invariant))
}

const MAY_BE_THE_MACHINE: ReadonlySet<Invariant> = new Set<Invariant>(['loop', 'service', 'made'])
