import { Pkcs11PoolError } from './errors.js'
import { Listeners } from './internal/listeners.js'
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
export const CLIENT_EVENTS: readonly ClientEventName[] = [...POOL_EVENTS, ...OWN_EVENTS]

/** The client's listeners. An event of the pool is only asked for once somebody listens to it: without, it costs nothing. */
export class ClientEmitter {
  readonly #listeners = new Listeners('client', 'ClientListenerWarning')
  readonly #subscribed = new Set<string>()
  readonly #pool: Pool<PooledSession>

  constructor(pool: Pool<PooledSession>) {
    this.#pool = pool
  }

  /** @throws INVALID_ARGUMENT for an event there is not */
  on<N extends ClientEventName>(event: N, listener: ClientListener<N>): void {
    checkListener(event, listener, CLIENT_EVENTS)
    this.#subscribe(event)
    this.#listeners.add(event, listener as (details: object) => void)
  }

  /** @throws INVALID_ARGUMENT for an event there is not */
  off<N extends ClientEventName>(event: N, listener: ClientListener<N>): void {
    checkListener(event, listener, CLIENT_EVENTS)
    this.#listeners.remove(event, listener as (details: object) => void)
  }

  /** Tells of what is no event of the pool's. */
  emit<N extends (typeof OWN_EVENTS)[number]>(event: N, details: ClientEvents[N]): void {
    this.#listeners.emit(event, details)
  }

  #subscribe(event: string): void {
    const name = POOL_EVENTS.find((known) => known === event)
    if (name === undefined || this.#subscribed.has(name)) return
    this.#subscribed.add(name)
    this.#pool.on(name, (details: object) => {
      const { resource: _, ...rest } = details as { resource?: unknown }
      this.#listeners.emit(name, rest)
    })
  }
}

/** @throws INVALID_ARGUMENT for an event there is not, and for a listener that is no function */
export function checkListener(event: string, listener: unknown, events: readonly string[]): void {
  if (!events.includes(event)) {
    const name = String(event)
    throw new Pkcs11PoolError('INVALID_ARGUMENT', `there is no event ${quoted(name)}${meantOrExpected(name, events)}`)
  }
  if (typeof listener !== 'function') {
    throw new Pkcs11PoolError('INVALID_ARGUMENT', `the listener is of type ${typeof listener}; expected a function`)
  }
}
