import { readdirSync } from 'node:fs'

/** What the process holds at one moment. */
export interface Held {
  rss_mb: number
  heap_mb: number
  external_mb: number
  threads: number
  descriptors: number
  sessions: number
}

export type HeldName = keyof Held

/** @param sessions those that the token has open for this process */
export function held(sessions: number): Held {
  globalThis.gc?.()
  const { rss, heapUsed, external } = process.memoryUsage()
  return {
    rss_mb: rss / 2 ** 20,
    heap_mb: heapUsed / 2 ** 20,
    external_mb: external / 2 ** 20,
    threads: readdirSync('/proc/self/task').length,
    descriptors: readdirSync('/proc/self/fd').length,
    sessions,
  }
}

/**
 * The straight line of least squares through the later half of equally spaced values: its rise an hour. What a program takes when it
 * starts is in the earlier half.
 */
export function slopePerHour(values: readonly number[], intervalMs: number): number {
  const later = values.slice(Math.floor(values.length / 2))
  const n = later.length
  const meanX = (n - 1) / 2
  const meanY = later.reduce((sum, value) => sum + value, 0) / n
  let above = 0
  let below = 0
  for (const [x, y] of later.entries()) {
    above += (x - meanX) * (y - meanY)
    below += (x - meanX) ** 2
  }
  return below === 0 ? 0 : (above / below) * (3_600_000 / intervalMs)
}

/** What may be added an hour before it counts as a leak: for half an hour of load, well above what a heap breathes. */
export const MOST_PER_HOUR: Readonly<Held> = {
  rss_mb: 20,
  heap_mb: 5,
  external_mb: 5,
  threads: 2,
  descriptors: 2,
  sessions: 2,
}
