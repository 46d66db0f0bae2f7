import { performance } from 'node:perf_hooks'

/** A stretch of an open load: calls that come whether or not earlier ones have ended. */
export interface Phase {
  name: string
  ms: number
  /** calls a second at its beginning and at its end, in between on a straight line */
  from: number
  to: number
  /** beside them, so many calls at once, each so often */
  burst?: { calls: number; everyMs: number }
}

const TICK_MS = 1

/** How many calls a phase has had after `ms` of it: none of them is lost to a machine that is late. */
export function callsBy({ ms: lasts, from, to, burst }: Phase, ms: number): number {
  const steady = (from * ms + ((to - from) * ms * ms) / (2 * lasts)) / 1_000
  if (burst === undefined) return Math.floor(steady)
  const bursts = ms < lasts ? Math.floor(ms / burst.everyMs) + 1 : Math.ceil(lasts / burst.everyMs)
  return Math.floor(steady) + bursts * burst.calls
}

/** Makes the calls of the phases, each a few milliseconds late at most, and resolves when all have ended. */
export async function runOpenLoad(phases: readonly Phase[], call: () => Promise<unknown>): Promise<void> {
  const calls: Promise<unknown>[] = []
  let begin = performance.now()
  for (const phase of phases) {
    let made = 0
    for (;;) {
      const into = Math.min(performance.now() - begin, phase.ms)
      for (const due = callsBy(phase, into); made < due; made++) calls.push(call())
      if (into >= phase.ms) break
      await new Promise((resolve) => setTimeout(resolve, TICK_MS))
    }
    begin += phase.ms
  }
  await Promise.all(calls)
}
