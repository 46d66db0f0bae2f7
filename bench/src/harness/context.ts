import { mkdtemp, rm } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
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
  const directory = await mkdtemp(
    join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), `pkcs11-pool-bench-${process.pid}-`),
  )
  undos.push(() => rm(directory, { recursive: true, force: true }))
  try {
    return await use({
      plan: options.quick ? QUICK_PLAN : FULL_PLAN,
      directory,
      log: (message) => options.log(`${name}: ${message}`),
      defer: (undo) => undos.push(undo),
    })
  } finally {
    for (const undo of undos.reverse()) await undo()
  }
}
