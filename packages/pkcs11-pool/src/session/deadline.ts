import { Pkcs11PoolError } from '../errors.js'
import { addAbortListener, removeAbortListener } from '../internal/abort-listeners.js'
import { systemClock } from '../internal/clock.js'
import { checkTimeout } from './call-context.js'

/** A moment by which something has to be over: what is left of a caller's `timeoutMs` as it is spent. */
export class Deadline {
  readonly #at: number

  /** @throws INVALID_ARGUMENT */
  constructor(readonly timeoutMs: number) {
    this.#at = systemClock.now() + checkTimeout(timeoutMs)
  }

  /** The deadline of a caller that has named a time; none of one that has not. @throws INVALID_ARGUMENT */
  static of(timeoutMs: number | undefined): Deadline | undefined {
    return timeoutMs === undefined ? undefined : new Deadline(timeoutMs)
  }

  /** Of a bound of its own, as much as is left. */
  within(timeoutMs: number): number {
    return Math.max(0, Math.min(timeoutMs, this.#at - systemClock.now()))
  }

  /** What is left in whole milliseconds, at least one while any is. */
  withinMs(timeoutMs: number): number {
    return Math.ceil(this.within(timeoutMs))
  }
}

/**
 * Settles as `promise` does, or rejects at an abort or with what `late` makes at the deadline, whichever comes first. What becomes of
 * the promise then is nobody's concern.
 */
export function bounded<R>(
  promise: Promise<R>,
  signal: AbortSignal | undefined,
  deadline: Deadline | undefined,
  late: (timeoutMs: number) => Pkcs11PoolError,
): Promise<R> {
  if (signal === undefined && deadline === undefined) return promise
  return new Promise((resolve, reject) => {
    const listener = { handleEvent: () => finish(() => reject(signal?.reason)) }
    const timer =
      deadline === undefined || deadline.timeoutMs === Number.POSITIVE_INFINITY
        ? undefined
        : systemClock.setTimeout(
            () => finish(() => reject(late(deadline.timeoutMs))),
            deadline.withinMs(deadline.timeoutMs),
          )
    const finish = (settle: () => void): void => {
      if (signal !== undefined) removeAbortListener(signal, listener)
      timer?.cancel()
      settle()
    }
    if (signal?.aborted) listener.handleEvent()
    else if (signal !== undefined) addAbortListener(signal, listener)
    promise.then(
      (value) => finish(() => resolve(value)),
      (error: unknown) => finish(() => reject(error)),
    )
  })
}

/** The time ran out before anything was sent that could have had an effect. */
export function nothingSent(what: string): (timeoutMs: number) => Pkcs11PoolError {
  return (timeoutMs) =>
    new Pkcs11PoolError(
      'OPERATION_TIMEOUT',
      `${what} had not finished within timeoutMs ${timeoutMs}; what it was for has not been sent, so it is safe to try again`,
      { category: 'overload' },
    )
}
