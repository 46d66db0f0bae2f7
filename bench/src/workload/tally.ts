import { percentile } from '../harness/statistics.js'

export const KINDS = ['decrypt K4, AES', 'decrypt K4, DES3', 'decrypt own', 'encrypt', 'other'] as const
export type Kind = (typeof KINDS)[number]

/** The kinds that the aim for decrypting with AES speaks of. */
const AES_DECRYPTS: readonly Kind[] = ['decrypt K4, AES', 'decrypt own']

/** Latencies in milliseconds, from when a request was due to its answer. */
export interface LatencyRow {
  name: string
  answers: number
  p50_ms: number
  p95_ms: number
  p99_ms: number
  max_ms: number
}

/** What a part of the run was answered. */
export class Tally {
  readonly #latencies = new Map<Kind, number[]>()
  /** answers that were no success, by code */
  readonly errors: Record<string, number> = {}

  add(kind: Kind, latencyMs: number, error: string | undefined): void {
    const known = this.#latencies.get(kind)
    if (known === undefined) this.#latencies.set(kind, [latencyMs])
    else known.push(latencyMs)
    if (error !== undefined) this.errors[error] = (this.errors[error] ?? 0) + 1
  }

  get answers(): number {
    return this.#of(KINDS).length
  }

  /** A row a kind that was asked, one for decrypting with AES, and one for all. */
  rows(): LatencyRow[] {
    return [
      ...KINDS.map((kind) => row(kind, this.#of([kind]))),
      row('decrypt, AES', this.#of(AES_DECRYPTS)),
      row('all', this.#of(KINDS)),
    ].filter(({ answers }) => answers > 0)
  }

  #of(kinds: readonly Kind[]): number[] {
    return kinds.flatMap((kind) => this.#latencies.get(kind) ?? [])
  }
}

function row(name: string, latencies: readonly number[]): LatencyRow {
  const sorted = Float64Array.from(latencies).sort()
  const at = (fraction: number) => Number(percentile(sorted, fraction).toFixed(2))
  return { name, answers: sorted.length, p50_ms: at(0.5), p95_ms: at(0.95), p99_ms: at(0.99), max_ms: at(1) }
}
