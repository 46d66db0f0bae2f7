import { Pkcs11PoolError } from './errors.js'
import { meantOrExpected, quoted } from './pkcs11/did-you-mean.js'
import type { Pool, PoolEvents } from './pool/index.js'
import type { BreakerState } from './resilience/breaker.js'
import type { PooledSession } from './session/pooled-session.js'

/** A pool's event without the resource, which is the client's own affair. */
type Public<E> = Omit<E, 'resource'>

/** What a client reports, and with what. */
export type ClientEvents = { [N in keyof PoolEvents<unknown>]: Public<PoolEvents<unknown>[N]> } & {
  /** A login succeeded; handles of private objects found before it are no longer used. */
  login: { generation: number }
  /** The breaker changed, or its next try failed: `open` until `retryAt`, for what `cause` says; `half-open` during a try; `closed`. */
  breaker: { state: BreakerState; retryAt: Date | undefined; cause: Pkcs11PoolError | undefined }
  /** The token, or all its sessions, are gone: followed by one `tokenBack`, when it answers again. */
  tokenLost: { cause: Pkcs11PoolError }
  /** The token is used again; sessions and handles of before are not. */
  tokenBack: { downMs: number }
}

export type ClientEventName = keyof ClientEvents
export type ClientListener<N extends ClientEventName> = (event: ClientEvents[N]) => void

const POOL_EVENTS = [
  'created',
  'destroyed',
  'acquired',
  'released',
  'timeout',
  'leak',
  'createFailed',
  'destroyFailed',
  'closed',
] as const satisfies (keyof PoolEvents<unknown>)[]
const OWN_EVENTS = ['login', 'breaker', 'tokenLost', 'tokenBack'] as const satisfies (keyof ClientEvents)[]
const EVENTS: readonly string[] = [...POOL_EVENTS, ...OWN_EVENTS]

type Listener = (details: object) => void

/**
 * The client's listeners. An event of the pool is only asked for once somebody listens to it: without, it costs nothing. What a
 * listener throws reaches neither the login or call it was told of nor the other listeners: it becomes a process warning, one a listener.
 */
export class ClientEmitter {
  readonly #listeners = new Map<string, readonly Listener[]>()
  readonly #subscribed = new Set<string>()
  readonly #warned = new WeakSet<object>()
  readonly #pool: Pool<PooledSession>

  constructor(pool: Pool<PooledSession>) {
    this.#pool = pool
  }

  /** @throws INVALID_ARGUMENT for an event there is not */
  on<N extends ClientEventName>(event: N, listener: ClientListener<N>): void {
    check(event, listener)
    this.#subscribe(event)
    this.#listeners.set(event, [...this.#of(event), listener as Listener])
  }

  /** @throws INVALID_ARGUMENT for an event there is not */
  off<N extends ClientEventName>(event: N, listener: ClientListener<N>): void {
    check(event, listener)
    const before = this.#of(event)
    const at = before.lastIndexOf(listener as Listener)
    if (at !== -1) this.#listeners.set(event, before.toSpliced(at, 1))
  }

  /** Tells of what is no event of the pool's. */
  emit<N extends (typeof OWN_EVENTS)[number]>(event: N, details: ClientEvents[N]): void {
    this.#emit(event, details)
  }

  #subscribe(event: string): void {
    const name = POOL_EVENTS.find((known) => known === event)
    if (name === undefined || this.#subscribed.has(name)) return
    this.#subscribed.add(name)
    this.#pool.on(name, (details: object) => {
      const { resource: _, ...rest } = details as { resource?: unknown }
      this.#emit(name, rest)
    })
  }

  #of(event: string): readonly Listener[] {
    return this.#listeners.get(event) ?? []
  }

  #emit(event: string, details: object): void {
    // The array is never changed in place: a listener that adds or removes listeners does not disturb this round.
    for (const listener of this.#of(event)) {
      try {
        listener(details)
      } catch (error) {
        this.#warn(event, listener, error)
      }
    }
  }

  #warn(event: string, listener: object, error: unknown): void {
    if (this.#warned.has(listener)) return
    this.#warned.add(listener)
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
    process.emitWarning(
      `a listener for the client event "${event}" threw; the client goes on: ${what}`,
      'ClientListenerWarning',
    )
  }
}

function check(event: string, listener: unknown): void {
  if (!EVENTS.includes(event)) {
    const name = String(event)
    throw new Pkcs11PoolError('INVALID_ARGUMENT', `there is no event ${quoted(name)}${meantOrExpected(name, EVENTS)}`)
  }
  if (typeof listener !== 'function') {
    throw new Pkcs11PoolError('INVALID_ARGUMENT', `the listener is of type ${typeof listener}; expected a function`)
  }
}
