import {
  CLIENT_EVENTS,
  type ClientEventName,
  type ClientEvents,
  type ClientListener,
  checkListener,
} from '../client-events.js'
import type { Pkcs11PoolError } from '../errors.js'
import { Listeners } from '../internal/listeners.js'
import type { Divergence } from './divergence.js'
import type { Member } from './member.js'

/** What a group reports, and with what: the events of its members' clients, each with the `member`, and its own. */
export type GroupEvents = { [N in ClientEventName]: ClientEvents[N] & { member: string } } & {
  /** A member's token was found. */
  connected: { member: string }
  /** A member could not be connected; it is tried again by itself, unless its PIN was rejected: `retryAt` is undefined then. */
  connectFailed: { member: string; error: Pkcs11PoolError; retryAt: Date | undefined }
  /** A use failed on a member, or (`error` undefined) had no answer for a while, and is made on the `next`. */
  failover: { member: string; next: string; error: Pkcs11PoolError | undefined }
  /** Members do not have the same keys; once for each key until a check has found it alike. */
  diverged: Divergence
}

export type GroupEventName = keyof GroupEvents
export type GroupListener<N extends GroupEventName> = (event: GroupEvents[N]) => void

const OWN_EVENTS = ['connected', 'connectFailed', 'failover', 'diverged'] as const satisfies GroupEventName[]
const EVENTS: readonly string[] = [...CLIENT_EVENTS, ...OWN_EVENTS]

/** The group's listeners. A client is only asked for an event once somebody listens to it. */
export class GroupEmitter {
  readonly #listeners = new Listeners('group', 'GroupListenerWarning')
  readonly #forwarded = new Set<ClientEventName>()
  readonly #members: readonly Member[]

  constructor(members: readonly Member[]) {
    this.#members = members
  }

  /** @throws INVALID_ARGUMENT for an event there is not */
  on<N extends GroupEventName>(event: N, listener: GroupListener<N>): void {
    checkListener(event, listener, EVENTS)
    this.#listeners.add(event, listener as (details: object) => void)
    const name = CLIENT_EVENTS.find((known) => known === event)
    if (name === undefined || this.#forwarded.has(name)) return
    this.#forwarded.add(name)
    for (const member of this.#members) this.#forward(member, name)
  }

  /** @throws INVALID_ARGUMENT for an event there is not */
  off<N extends GroupEventName>(event: N, listener: GroupListener<N>): void {
    checkListener(event, listener, EVENTS)
    this.#listeners.remove(event, listener as (details: object) => void)
  }

  emit<N extends (typeof OWN_EVENTS)[number]>(event: N, details: GroupEvents[N]): void {
    this.#listeners.emit(event, details)
  }

  /** A member has a client from now on. */
  joined(member: Member): void {
    for (const name of this.#forwarded) this.#forward(member, name)
  }

  #forward({ name, client }: Member, event: ClientEventName): void {
    const forward: ClientListener<ClientEventName> = (details) =>
      this.#listeners.emit(event, { ...details, member: name })
    client?.on(event, forward)
  }
}
