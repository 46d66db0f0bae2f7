import { Pkcs11PoolError } from './errors.js'
import { systemClock } from './internal/clock.js'
import { checkTimeout } from './session/call-context.js'

/** A moment by which something has to be over: what is left of a caller's `timeoutMs` as it is spent. */
export class Deadline {
  readonly #at: number

  /** @throws INVALID_ARGUMENT */
  constructor(readonly timeoutMs: number) {
    this.#at = systemClock.now() + checkTimeout(timeoutMs)
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

/** Settles as `promise` does, or rejects with the signal's reason first. What becomes of the promise then is nobody's concern. */
export function untilAborted<R>(promise: Promise<R>, signal: AbortSignal | undefined): Promise<R> {
  if (signal === undefined) return promise
  return bounded(promise, signal, undefined)
}

/** Settles as `promise` does, or rejects at an abort or after `timeoutMs`, whichever comes first. */
export function bounded<R>(
  promise: Promise<R>,
  signal: AbortSignal | undefined,
  deadline: Deadline | undefined,
): Promise<R> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => finish(() => reject(signal?.reason))
    const timer =
      deadline === undefined || deadline.timeoutMs === Number.POSITIVE_INFINITY
        ? undefined
        : systemClock.setTimeout(() => finish(() => reject(tooLate(deadline))), deadline.withinMs(deadline.timeoutMs))
    const finish = (settle: () => void): void => {
      signal?.removeEventListener('abort', onAbort)
      timer?.cancel()
      settle()
    }
    if (signal?.aborted) return onAbort()
    signal?.addEventListener('abort', onAbort, { once: true })
    promise.then(
      (value) => finish(() => resolve(value)),
      (error: unknown) => finish(() => reject(error)),
    )
  })
}

function tooLate(deadline: Deadline): Pkcs11PoolError {
  return new Pkcs11PoolError(
    'OPERATION_TIMEOUT',
    `the function given to withSession had not finished within timeoutMs ${deadline.timeoutMs}; its session is taken back`,
  )
}
