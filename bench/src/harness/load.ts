import { performance } from 'node:perf_hooks'
import type { Sample } from './result.js'
import { percentile } from './statistics.js'

/** How long a round warms up and then measures. */
export interface Window {
  warmupMs: number
  measureMs: number
}

export interface LoadOptions extends Window {
  /** how many callers run the operation at the same time, each again as soon as it has its answer */
  callers: number
  /**
   * one operation in so many is timed. Reading the clock costs about 50 ns, which is nothing beside a token's call and a
   * quarter of a pool's
   */
  timeEvery: number
}

/** Does the work `repeat` times, one after the other. */
export type Operation = (caller: number, repeat: number) => Promise<void>

/**
 * A closed loop of callers. An operation counts when it ends within the time measured. The clock is read by the callers
 * themselves, because operations that never leave the microtask queue let no timer run.
 */
export async function runLoad(operation: Operation, options: LoadOptions): Promise<Sample> {
  const from = performance.now() + options.warmupMs
  const until = from + options.measureMs
  const latencies: number[] = []
  let operations = 0

  async function call(caller: number): Promise<void> {
    for (;;) {
      const before = performance.now()
      await operation(caller, 1)
      const after = performance.now()
      if (after > until) return
      if (after >= from) {
        operations += 1
        latencies.push(after - before)
      }
      if (options.timeEvery === 1) continue
      await operation(caller, options.timeEvery - 1)
      const end = performance.now()
      if (end > until) return
      if (end >= from) operations += options.timeEvery - 1
    }
  }

  await Promise.all(Array.from({ length: options.callers }, (_, caller) => call(caller)))
  return { ops_per_s: (operations * 1000) / options.measureMs, ...latencyPercentiles(latencies) }
}

/** Out of latencies in milliseconds, in any order. */
export function latencyPercentiles(latenciesMs: readonly number[]): Pick<Sample, 'p50_us' | 'p95_us' | 'p99_us'> {
  const sorted = Float64Array.from(latenciesMs).sort()
  const at = (fraction: number) => percentile(sorted, fraction) * 1000
  return { p50_us: at(0.5), p95_us: at(0.95), p99_us: at(0.99) }
}
