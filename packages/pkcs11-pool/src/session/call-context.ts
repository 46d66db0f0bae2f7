import { Pkcs11PoolError } from '../errors.js'
import { MAX_DELAY_MS } from '../internal/clock.js'
import { meantOrExpected, quoted } from '../pkcs11/did-you-mean.js'
import type { CallWatch, Engine, EngineSession } from '../pkcs11/engine.js'
import { mechanismName } from '../pkcs11/mechanisms.js'
import type { PackedMechanism } from '../pkcs11/protocol.js'
import type { Deadline } from './deadline.js'
import type { Login } from './login.js'

/** What one call may say of itself. */
export interface OperationOptions {
  /** Ends the waiting with the signal's reason. A call that has not started is not made; one that has goes on without its caller. */
  signal?: AbortSignal | undefined
  /** Milliseconds until OPERATION_TIMEOUT. @defaultValue the client's `operationTimeoutMs` */
  timeoutMs?: number | undefined
}

const OPTION_NAMES = ['signal', 'timeoutMs'] as const satisfies (keyof OperationOptions)[]

/**
 * Checks what a caller passed as options. Nothing that is misspelt or misplaced is passed over: it was meant to bound the call.
 *
 * @throws INVALID_ARGUMENT
 */
export function checkOptions(options: OperationOptions, names: readonly string[] = OPTION_NAMES): void {
  if (typeof options !== 'object' || options === null) {
    const got = options === null ? 'null' : `of type ${typeof options}`
    throw new Pkcs11PoolError('INVALID_ARGUMENT', `options are ${got}; expected an object of ${names.join(', ')}`)
  }
  for (const name in options) {
    if (names.includes(name)) continue
    throw new Pkcs11PoolError('INVALID_ARGUMENT', `unknown option ${quoted(name)}${meantOrExpected(name, names)}`)
  }
  const { signal, timeoutMs } = options
  if (timeoutMs !== undefined) checkTimeout(timeoutMs)
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    const got = signal === null ? 'null' : `of type ${typeof signal}`
    throw new Pkcs11PoolError('INVALID_ARGUMENT', `signal is ${got}; expected an AbortSignal`)
  }
}

/** Where a call runs and how it is bounded: every function of this folder takes one. */
export interface CallContext {
  readonly engine: Engine
  readonly session: EngineSession
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
  /** by when its caller wants all to be over, where that was said: several calls may be made for one of the caller's */
  readonly deadline?: Deadline | undefined
  /** what the call is about, for messages */
  readonly about?: (() => string) | undefined
  readonly watch?: CallWatch | undefined
  /** the token's, which knows the keys that want the PIN for each use */
  readonly login: Login
}

/** A context for the next call of several: with what is left of its caller's time. */
export function nextCall(context: CallContext): CallContext {
  const { deadline } = context
  return deadline === undefined ? context : { ...context, timeoutMs: deadline.within(context.timeoutMs) }
}

/** The same call, its errors naming the mechanism too. */
export function withMechanism(context: CallContext, mechanism: PackedMechanism): CallContext {
  const { engine, session, timeoutMs, signal, about, watch, login } = context
  return {
    engine,
    session,
    timeoutMs,
    signal,
    watch,
    login,
    about: () => {
      const name = mechanismName(packedType(mechanism))
      return about === undefined ? name : `${name} with ${about()}`
    },
  }
}

/** The mechanism's number: the first field of a packed mechanism. */
function packedType(mechanism: PackedMechanism): number {
  return Number(new DataView(mechanism.buffer, mechanism.byteOffset).getBigUint64(0, true))
}

/** @throws INVALID_ARGUMENT */
export function checkTimeout(timeoutMs: number): number {
  if (typeof timeoutMs === 'number' && timeoutMs >= 0 && (timeoutMs <= MAX_DELAY_MS || timeoutMs === Infinity)) {
    return timeoutMs
  }
  const got = typeof timeoutMs === 'number' ? String(timeoutMs) : `of type ${typeof timeoutMs}`
  throw new Pkcs11PoolError(
    'INVALID_ARGUMENT',
    `timeoutMs is ${got}; expected milliseconds from 0 (at once) to ${MAX_DELAY_MS}, or Infinity for no bound`,
  )
}
