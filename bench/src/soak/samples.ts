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

/** One figure, at a moment of which it is known what came before. */
export interface Sample {
  readonly after: string
  readonly value: number
}

/**
 * How much a figure rises an hour: the median of the rises between every two samples that were taken after the same fault, in the later half
 * of equally spaced ones. What a program takes when it starts is in the earlier half. What a fault leaves behind for a while, as threads in
 * the place of those that hang, is in both of two samples; and a few that stand out do not turn the line, as they do one of least squares.
 */
export function slopePerHour(samples: readonly Sample[], intervalMs: number): number {
  const later = samples.slice(Math.floor(samples.length / 2))
  const rises = later.flatMap(({ after, value }, at) =>
    later.slice(at + 1).flatMap((next, between) => (next.after === after ? (next.value - value) / (between + 1) : [])),
  )
  return median(rises) * (3_600_000 / intervalMs)
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other)
  const middle = Math.floor(sorted.length / 2)
  const [low = 0, high = 0] = sorted.length % 2 === 0 ? sorted.slice(middle - 1) : [sorted[middle], sorted[middle]]
  return (low + high) / 2
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
