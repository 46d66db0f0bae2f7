import { Pkcs11PoolError } from '../errors.js'
import type { Engine, EngineSession } from '../pkcs11/engine.js'
import { type Mechanism, mechanismName } from '../pkcs11/mechanisms.js'

/** What one call may say of itself. */
export interface OperationOptions {
  /** Ends the waiting with the signal's reason. A call that has not started is not made; one that has goes on without its caller. */
  signal?: AbortSignal | undefined
  /** Milliseconds until OPERATION_TIMEOUT. @defaultValue the client's `operationTimeoutMs` */
  timeoutMs?: number | undefined
}

/** Where a call runs and how it is bounded: every function of this folder takes one. */
export interface CallContext {
  readonly engine: Engine
  readonly session: EngineSession
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
  /** what the call is about, for messages */
  readonly about?: (() => string) | undefined
}

/** The same call, its errors naming the mechanism too. */
export function withMechanism(context: CallContext, mechanism: Mechanism): CallContext {
  const { engine, session, timeoutMs, signal, about } = context
  return {
    engine,
    session,
    timeoutMs,
    signal,
    about: () => (about === undefined ? nameOf(mechanism) : `${nameOf(mechanism)} with ${about()}`),
  }
}

function nameOf(mechanism: Mechanism): string {
  const name = typeof mechanism === 'string' ? mechanism : mechanism.mechanism
  return typeof name === 'number' ? mechanismName(name) : name
}

/** @throws INVALID_ARGUMENT */
export function checkTimeout(timeoutMs: number): number {
  if (typeof timeoutMs === 'number' && timeoutMs >= 0) return timeoutMs
  const got = typeof timeoutMs === 'number' ? String(timeoutMs) : `of type ${typeof timeoutMs}`
  throw new Pkcs11PoolError(
    'INVALID_ARGUMENT',
    `timeoutMs is ${got}; expected milliseconds from 0 (at once), or Infinity for no bound`,
  )
}
