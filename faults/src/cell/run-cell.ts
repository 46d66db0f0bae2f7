import type { Client } from 'pkcs11-pool'
import type { Cell } from '../cells.js'
import { FUNCTIONS } from '../functions.js'
import type { Violation } from '../violation.js'
import { signWithPin } from '../load/special.js'
import { CellRun } from './cell-run.js'
import { type Hold, LoopWatch } from './loop-watch.js'
import { judge } from './judge.js'
import { checkService } from './service.js'
import { STAGES } from './stage.js'
import type { Outcome } from './witness.js'
import type { World } from './world.js'

/** The longest that the loop may stand still. */
const HELD_MS = 20

export interface CellResult {
  violations: Violation[]
  /** whether the fault has met a call */
  met: boolean
  tally: Record<Outcome, number>
  latestMs: number
  hold: Hold
  ms: number
}

/** Runs one cell: its stage under the fault, the fault lifted, service again, everything closed, and nothing left behind. */
export async function runCell(world: World, cell: Cell, { judgeLoop }: { judgeLoop: boolean }): Promise<CellResult> {
  const begun = performance.now()
  const run = new CellRun(world, cell)
  const { witness } = run
  const watch = new LoopWatch()
  await world.chaos.resetCounters()
  watch.start()
  await STAGES[cell.moment](run)
  await run.lift()
  for (const client of run.clients) await checkService(run, client)
  const hold = watch.stop()
  await judge(run)
  await finish(run)
  if (judgeLoop && (hold.sleptMs > HELD_MS || hold.ranMs > HELD_MS)) {
    const how = `${hold.sleptMs.toFixed(1)} ms asleep, ${hold.ranMs.toFixed(1)} ms computing`
    witness.violated('loop', `the loop stood still for ${how}`)
  }
  await checkCovered(run)
  const { violations, tally, latestMs } = witness
  return { violations, met: run.applied > 0, tally, latestMs, hold, ms: performance.now() - begun }
}

/** Closes everything, and proves with a client of its own that the process can go on. */
async function finish(run: CellRun): Promise<void> {
  for (const client of run.clients) if (client.stats().state === 'open') await run.close(client)
  await run.until('every session is closed when the clients are', ({ sessions, inFlight }) => {
    return sessions.open === 0 && inFlight === 0
  })
  await judge(run)
  await run.world.chaos.resetCounters()
  let after: Client | undefined
  try {
    const pool = { maxSize: 1, operationTimeoutMs: 5_000, createTimeoutMs: 5_000, validateTimeoutMs: 5_000 }
    after = await run.world.open({ pool, health: { probeIntervalMs: Number.POSITIVE_INFINITY } })
    await run.world.tidy(after)
    // The proxy remembers PINs that it has rejected until they are accepted, for each kind of use.
    if (run.cell.fn === 'C_Login') await signWithPin.run(run.world.subject(after))
  } catch (error) {
    run.witness.violated('service', `a new client in this process: ${String(error)}`)
  }
  await after?.close()
}

async function checkCovered({ world, witness }: CellRun): Promise<void> {
  const { functions } = await world.chaos.counters()
  for (const [name, { calls }] of Object.entries(functions)) {
    const known: readonly string[] = FUNCTIONS
    if (calls > 0 && !known.includes(name)) witness.violated('covered', `${name} was called, and is not in the product`)
  }
}
