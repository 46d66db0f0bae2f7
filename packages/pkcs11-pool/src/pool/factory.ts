/**
 * Why a resource was destroyed: `idle` unused for `idleTimeoutMs`, `lifetime` older than `maxLifetimeMs`, `invalid` its validation
 * failed, `reset` of a generation that `reset()` ended, `resize` more than the pool may have now, `discarded` its user asked for
 * it, `late` delivered after `createTimeoutMs`, `closed` the pool is closed.
 */
export type DestroyReason = 'idle' | 'lifetime' | 'invalid' | 'reset' | 'resize' | 'discarded' | 'late' | 'closed'

/** How the pool makes, checks and ends a resource. */
export interface PoolFactory<T> {
  /**
   * Makes one resource. `signal` aborts at `createTimeoutMs` and when the pool closes; whoever cannot stop then may still deliver:
   * the pool destroys what comes late.
   */
  create(signal: AbortSignal): Promise<T>
  /**
   * Whether an idle resource may still be used: anything but true, an exception, or no answer within `validateTimeoutMs` has it
   * destroyed, in the last case while the validation is still under way. Not called for what was used less than
   * `validateIfIdleMs` ago. Without it every idle resource is taken to be good.
   */
  validate?(resource: T): boolean | Promise<boolean>
  /**
   * Whether a creation failed because the other side has no more to give. Then the pool works with what it has and with what is still
   * being made, as after `limitTo`, and whoever waits waits for a release instead of being told of the failure. Without it, a
   * failure is one.
   */
  exhausted?(cause: unknown): boolean
  /** Ends one resource; called exactly once for each that `create` delivered. */
  destroy(resource: T, reason: DestroyReason): void | Promise<void>
}
