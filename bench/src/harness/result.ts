/** What one contender did in one round. Times are in microseconds. */
export interface Sample {
  ops_per_s: number
  p50_us: number
  p95_us: number
  p99_us: number
  /** further figures of this round, such as `loop_delay_p99_ms`; their medians go to the row's `details` */
  details?: Record<string, number>
}

export type Spread = [min: number, max: number]

/** One contender over all rounds: medians, and in `spread` the smallest and largest round. */
export interface Row {
  name: string
  ops_per_s: number
  p50_us: number
  p95_us: number
  p99_us: number
  /** the rate over that of the limit in the same round; null where the scenario has no limit */
  ratio_to_limit: number | null
  spread: { ops_per_s: Spread; p50_us: Spread; ratio_to_limit: Spread | null }
  rounds: number
  details: Record<string, number | string>
}

/** One line of the table that the figures are held against. */
export interface Target {
  measure: string
  at_least?: number
  at_most?: number
  got: number
  spread: Spread
  met: boolean
}

export interface ScenarioResult {
  scenario: string
  rows: Row[]
  targets: Target[]
}
