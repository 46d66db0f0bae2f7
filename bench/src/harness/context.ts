import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Window } from './load.js'

/** How much a run does. */
export interface Plan {
  quick: boolean
  rounds: number
  /** whether an uncounted first turn is run */
  settle: boolean
  window: Window
}

const FULL_PLAN: Plan = { quick: false, rounds: 5, settle: true, window: { warmupMs: 200, measureMs: 1_000 } }
const QUICK_PLAN: Plan = { quick: true, rounds: 1, settle: false, window: { warmupMs: 20, measureMs: 60 } }

/** What a scenario works with: the plan, a folder of its own, and a place for what must be undone at the end. */
export interface Context {
  plan: Plan
  /** in memory where the machine has a memory file system, so that no disk is measured */
  directory: string
  log(message: string): void
  /** runs at the end of the scenario, last one first, also when it failed */
  defer(undo: () => unknown): void
}

export async function withContext<T>(
  name: string,
  options: { quick: boolean; log: (message: string) => void },
  use: (context: Context) => Promise<T>,
): Promise<T> {
  const undos: (() => unknown)[] = []
  let undoing: Promise<void> | undefined
  const undoAll = (): Promise<void> => {
    undoing ??= undoInTurn(undos)
    return undoing
  }
  const stop = (signal: NodeJS.Signals): void => {
    void undoAll().finally(() => process.exit(128 + constants.signals[signal]))
  }
  const directory = await mkdtemp(
    join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), `pkcs11-pool-bench-${process.pid}-`),
  )
  undos.push(() => rm(directory, { recursive: true, force: true }))
  process.on('SIGINT', stop).on('SIGTERM', stop)
  try {
    return await use({
      plan: options.quick ? QUICK_PLAN : FULL_PLAN,
      directory,
      log: (message) => options.log(`${name}: ${message}`),
      defer: (undo) => undos.push(undo),
    })
  } finally {
    await undoAll()
    process.off('SIGINT', stop).off('SIGTERM', stop)
  }
}

async function undoInTurn(undos: (() => unknown)[]): Promise<void> {
  for (let undo = undos.pop(); undo !== undefined; undo = undos.pop()) await undo()
}
