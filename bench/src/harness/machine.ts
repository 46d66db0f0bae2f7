import { execFileSync } from 'node:child_process'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'

/** What the figures were taken on. */
export interface Machine {
  cpus: number
  model: string
  memory_gib: number
  kernel: string
  node: string
  /** null where SoftHSM is not installed */
  softhsm: string | null
  /** of the last minute, when the run began: much above zero, something else was using the machine */
  load_average: number
}

export function describeMachine(): Machine {
  return {
    cpus: availableParallelism(),
    model: cpus()[0]?.model ?? 'unknown',
    memory_gib: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    softhsm: version('softhsm2-util'),
    load_average: loadavg()[0] ?? 0,
  }
}

function version(command: string): string | null {
  try {
    return execFileSync(command, ['--version'], { encoding: 'utf8' }).trim()
  } catch {
    return null
  }
}
