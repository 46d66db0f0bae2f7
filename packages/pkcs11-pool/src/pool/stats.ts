/**
 * A pool at one moment. At every moment `currentSize = available + inUse`, `created - destroyed = currentSize` and
 * `acquired - released + validating = inUse`.
 */
export interface PoolStats {
  state: 'open' | 'closing' | 'closed'
  maxSize: number
  minSize: number
  /** `maxSize`, or what `limitTo` lowered it to */
  effectiveMaxSize: number
  /** resources in the pool: idle, leased, or being validated */
  currentSize: number
  /** idle resources */
  available: number
  /** leased resources and those being validated */
  inUse: number
  /** of those in use, how many are being validated */
  validating: number
  /** calls to `acquire` that wait */
  waiting: number
  /** creations under way that will serve somebody; each holds a place of `effectiveMaxSize`, none is in `currentSize` yet */
  creating: number
  /** creations under way whose result will be destroyed (timed out, or begun before a reset); each still holds a place */
  orphaned: number
  /** destroys under way; each still holds a place, none is in `currentSize` any more */
  destroying: number
  /** creates and destroys that were given up after their timeouts and have not returned since; they hold no place */
  stalled: number
  /** resources delivered by the factory, ever */
  created: number
  /** resources given to the factory's `destroy`, ever */
  destroyed: number
  /** leases handed out, ever */
  acquired: number
  /** leases ended, ever */
  released: number
  acquireTimeouts: number
  createFailures: number
  validateFailures: number
  destroyFailures: number
  /** leases that were reported as a leak */
  leaked: number
}

/** The part of {@link PoolStats} that only ever grows. */
export type Counters = Pick<
  PoolStats,
  | 'created'
  | 'destroyed'
  | 'acquired'
  | 'released'
  | 'acquireTimeouts'
  | 'createFailures'
  | 'validateFailures'
  | 'destroyFailures'
  | 'leaked'
>

export function startCounting(): Counters {
  return {
    created: 0,
    destroyed: 0,
    acquired: 0,
    released: 0,
    acquireTimeouts: 0,
    createFailures: 0,
    validateFailures: 0,
    destroyFailures: 0,
    leaked: 0,
  }
}
