import { Pkcs11PoolError } from '../errors.js'
import { nearest } from '../internal/nearest.js'
import type { DestroyReason } from './factory.js'

/** What a pool reports, and with what. */
export interface PoolEvents<T> {
  /** The factory delivered a resource, also one that comes too late and is destroyed at once. */
  created: { resource: T; tookMs: number }
  /** A resource left the pool and was given to the factory's `destroy`. `error` says what was wrong with an `invalid` one. */
  destroyed: { resource: T; reason: DestroyReason; error?: unknown }
  acquired: { resource: T; waitedMs: number; owner: string | undefined }
  /** A lease ends, by release or by destroy: it is about to go back or to be destroyed. */
  released: { resource: T; heldMs: number }
  /** An `acquire` was given up after its timeout. */
  timeout: { waitedMs: number; owner: string | undefined }
  /** A lease has been held for `leakThresholdMs`; once a lease. `acquiredAt` is the stack of the `acquire`. */
  leak: { resource: T; heldMs: number; owner: string | undefined; acquiredAt: string }
  /** A creation failed or took too long; `attempt` counts the failures in a row, from 1. */
  createFailed: { error: Pkcs11PoolError; attempt: number }
  /** The factory's `destroy` failed or took too long; the pool forgets the resource all the same. */
  destroyFailed: { error: unknown; reason: DestroyReason }
  closed: { abandoned: number }
}

export type PoolEventName = keyof PoolEvents<unknown>
export type PoolListener<T, E extends PoolEventName> = (event: PoolEvents<T>[E]) => void

/** Who listens to what; undefined where nobody does. */
type Listeners<T> = { [E in PoolEventName]: readonly PoolListener<T, E>[] | undefined }

/**
 * The listeners of one pool. What a listener throws never reaches the pool, nor does it end the process, as an uncaught exception
 * would for a mistake in somebody's log line: it becomes a process warning, one a listener.
 */
export class PoolEmitter<T> {
  /** Looked at before an event is made, so that an event nobody listens to costs nothing. */
  readonly listeners: Readonly<Listeners<T>>
  readonly #listeners: Listeners<T> = {
    created: undefined,
    destroyed: undefined,
    acquired: undefined,
    released: undefined,
    timeout: undefined,
    leak: undefined,
    createFailed: undefined,
    destroyFailed: undefined,
    closed: undefined,
  }
  readonly #warned = new WeakSet<object>()

  constructor() {
    this.listeners = this.#listeners
  }

  /** @throws INVALID_ARGUMENT */
  on<E extends PoolEventName>(event: E, listener: PoolListener<T, E>): void {
    this.#check(event, listener)
    this.#set(event, [...(this.#get(event) ?? []), listener])
  }

  /** Takes a listener off once; does nothing when it is not on. @throws INVALID_ARGUMENT */
  off<E extends PoolEventName>(event: E, listener: PoolListener<T, E>): void {
    this.#check(event, listener)
    const before = this.#get(event) ?? []
    const at = before.lastIndexOf(listener)
    if (at === -1) return
    const after = before.toSpliced(at, 1)
    this.#set(event, after.length === 0 ? undefined : after)
  }

  emit<E extends PoolEventName>(event: E, details: PoolEvents<T>[E]): void {
    // The array is never changed in place: a listener that adds or removes listeners does not disturb this round.
    for (const listener of this.#get(event) ?? []) {
      try {
        listener(details)
      } catch (error) {
        this.#warn(event, listener, error)
      }
    }
  }

  #get<E extends PoolEventName>(event: E): readonly PoolListener<T, E>[] | undefined {
    return this.#listeners[event]
  }

  #set<E extends PoolEventName>(event: E, listeners: readonly PoolListener<T, E>[] | undefined): void {
    Object.assign(this.#listeners, { [event]: listeners })
  }

  #warn(event: PoolEventName, listener: object, error: unknown): void {
    if (this.#warned.has(listener)) return
    this.#warned.add(listener)
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
    process.emitWarning(
      `a listener for the pool event "${event}" threw; the pool goes on: ${what}`,
      'PoolListenerWarning',
    )
  }

  #check(event: string, listener: unknown): void {
    if (!Object.hasOwn(this.#listeners, event)) {
      const known = Object.keys(this.#listeners)
      const meant = nearest(event, known)
      const help = meant === undefined ? `expected one of ${known.join(', ')}` : `did you mean "${meant}"?`
      throw new Pkcs11PoolError('INVALID_ARGUMENT', `unknown event "${event}"; ${help}`)
    }
    if (typeof listener !== 'function') {
      throw new Pkcs11PoolError('INVALID_ARGUMENT', `the listener is of type ${typeof listener}; expected a function`)
    }
  }
}
