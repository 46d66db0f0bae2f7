import { EventEmitter } from 'node:events'
import { Pkcs11PoolError } from './errors.js'
import { meantOrExpected, quoted } from './pkcs11/did-you-mean.js'
import type { Pool, PoolEvents } from './pool/index.js'
import type { PooledSession } from './session/pooled-session.js'

/** A pool's event without the resource, which is the client's own affair. */
type Public<E> = Omit<E, 'resource'>

/** What a client reports, and with what. */
export type ClientEvents = { [N in keyof PoolEvents<unknown>]: Public<PoolEvents<unknown>[N]> } & {
  /** A login succeeded; handles of private objects found before it are no longer used. */
  login: { generation: number }
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
const EVENTS: readonly string[] = [...POOL_EVENTS, 'login']

/** The client's listeners. An event of the pool is only asked for once somebody listens to it: without, it costs nothing. */
export class ClientEmitter {
  readonly #emitter = new EventEmitter()
  readonly #subscribed = new Set<string>()
  readonly #pool: Pool<PooledSession>

  constructor(pool: Pool<PooledSession>) {
    this.#pool = pool
  }

  /** @throws INVALID_ARGUMENT for an event there is not */
  on<N extends ClientEventName>(event: N, listener: ClientListener<N>): void {
    check(event, listener)
    this.#subscribe(event)
    this.#emitter.on(event, listener)
  }

  /** @throws INVALID_ARGUMENT for an event there is not */
  off<N extends ClientEventName>(event: N, listener: ClientListener<N>): void {
    check(event, listener)
    this.#emitter.off(event, listener)
  }

  login(generation: number): void {
    this.#emitter.emit('login', { generation })
  }

  #subscribe(event: string): void {
    const name = POOL_EVENTS.find((known) => known === event)
    if (name === undefined || this.#subscribed.has(name)) return
    this.#subscribed.add(name)
    this.#pool.on(name, (details: object) => {
      const { resource: _, ...rest } = details as { resource?: unknown }
      this.#emitter.emit(name, rest)
    })
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
