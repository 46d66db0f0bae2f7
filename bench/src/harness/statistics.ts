import type { Row, Sample, Spread, Target } from './result.js'

/** The value below which the fraction of the ascending values lies; NaN where there are none. */
export function percentile(sorted: ArrayLike<number>, fraction: number): number {
  return sorted[Math.floor(fraction * (sorted.length - 1))] ?? Number.NaN
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

function spread(values: readonly number[]): Spread {
  return [Math.min(...values), Math.max(...values)]
}

/** Each round's value over the other's in the same round, since what disturbs a machine disturbs neighbours alike. */
export function ratios(values: readonly number[], others: readonly number[]): number[] {
  return values.map((value, round) => value / (others[round] ?? Number.NaN))
}

export function rates(samples: readonly Sample[]): number[] {
  return samples.map((sample) => sample.ops_per_s)
}

/** One row of the report out of a contender's rounds. */
export function summarise(
  name: string,
  samples: readonly Sample[],
  limit: readonly Sample[] | null,
  details: Row['details'] = {},
): Row {
  const toLimit = limit === null ? null : ratios(rates(samples), rates(limit))
  const measured: Row['details'] = {}
  for (const key of Object.keys(samples[0]?.details ?? {})) {
    measured[key] = round(median(samples.map((sample) => sample.details?.[key] ?? Number.NaN)))
  }
  return {
    name,
    ops_per_s: round(median(rates(samples))),
    p50_us: round(median(samples.map((sample) => sample.p50_us))),
    p95_us: round(median(samples.map((sample) => sample.p95_us))),
    p99_us: round(median(samples.map((sample) => sample.p99_us))),
    ratio_to_limit: toLimit === null ? null : round(median(toLimit)),
    spread: {
      ops_per_s: roundSpread(spread(rates(samples))),
      p50_us: roundSpread(spread(samples.map((sample) => sample.p50_us))),
      ratio_to_limit: toLimit === null ? null : roundSpread(spread(toLimit)),
    },
    rounds: samples.length,
    details: { ...measured, ...details },
  }
}

/** A figure, one a round, held against the value it must at least or at most have; the median decides. */
export function target(
  measure: string,
  bound: { at_least: number } | { at_most: number },
  values: readonly number[],
): Target {
  const got = median(values)
  const met = 'at_least' in bound ? got >= bound.at_least : got <= bound.at_most
  return { measure, ...bound, got: round(got), spread: roundSpread(spread(values)), met }
}

function round(value: number): number {
  return Number(value.toPrecision(5))
}

function roundSpread([min, max]: Spread): Spread {
  return [round(min), round(max)]
}
