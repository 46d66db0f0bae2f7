import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** How the process's memory changes with what it is asked, in bytes a thousand requests. */
export interface Slope {
  heap: number
  rss: number
}

/** Looks at the memory now and then, after what is garbage has been collected. */
export class MemorySlope {
  readonly #samples: { sent: number; heap: number; rss: number }[] = []
  readonly #collect: () => void

  constructor() {
    setFlagsFromString('--expose-gc')
    this.#collect = runInNewContext('gc') as () => void
  }

  sample(sent: number): void {
    this.#collect()
    const { heapUsed, rss } = process.memoryUsage()
    this.#samples.push({ sent, heap: heapUsed, rss })
  }

  /** The line of least squares through the second half of the samples: caches and the audit's queue fill in the first. */
  get slope(): Slope {
    const late = this.#samples.slice(Math.floor(this.#samples.length / 2))
    const mean = (of: (sample: (typeof late)[number]) => number) =>
      late.reduce((sum, sample) => sum + of(sample), 0) / late.length
    const middle = mean(({ sent }) => sent)
    const variance = mean(({ sent }) => (sent - middle) ** 2)
    const per = (name: 'heap' | 'rss') => {
      const level = mean((sample) => sample[name])
      return (mean((sample) => (sample.sent - middle) * (sample[name] - level)) / variance) * 1_000
    }
    return { heap: per('heap'), rss: per('rss') }
  }

  toString(): string {
    const megabytes = (bytes: number) => (bytes / 1024 / 1024).toFixed(1)
    const all = this.#samples.map(({ sent, heap, rss }) => `${sent}: ${megabytes(heap)} (RSS ${megabytes(rss)})`)
    const { heap, rss } = this.slope
    return `heap in MiB after so many: ${all.join(', ')}; slope of the second half, a thousand requests: heap ${Math.round(heap)} bytes, RSS ${Math.round(rss)} bytes`
  }
}
