import { monitorEventLoopDelay } from 'node:perf_hooks'

export interface LoopDelay {
  loop_delay_p99_ms: number
  loop_delay_max_ms: number
}

/** Watches the event loop while `work` runs. A free loop shows about 1 ms, which is the interval it is looked at in. */
export async function withLoopDelay<T>(work: () => Promise<T>): Promise<{ value: T; delay: LoopDelay }> {
  const histogram = monitorEventLoopDelay({ resolution: 1 })
  histogram.enable()
  try {
    const value = await work()
    return {
      value,
      delay: { loop_delay_p99_ms: histogram.percentile(99) / 1e6, loop_delay_max_ms: histogram.max / 1e6 },
    }
  } finally {
    histogram.disable()
  }
}
