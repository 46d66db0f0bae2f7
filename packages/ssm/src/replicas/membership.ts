import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { Client } from 'pg'
import { connectionOf, END_WITH_THIS_MACHINE, toStoreError } from '../store/postgres-pool.js'
import type { Store } from '../store/store.js'
import { StoreError } from '../store/store-error.js'
import { CHANNEL, type Message, readMessage } from './message.js'

/** How often, in milliseconds, a replica says that it lives, and for how long that is believed: here for less than elsewhere. */
const RENEW_MS = 1_000
const LEASE_MS = 4_000
const OWN_LEASE_MS = 3_500
/** How long, in milliseconds, to wait for key changes that are under way before this replica may begin to follow. */
const JOIN_TIMEOUT_MS = 8_000

/** Advisory locks of the database: one that every change shares and a joining replica has alone, and one for each label. */
const JOIN_LOCK = 0x73736d00
const LABEL_LOCKS = 0x73736d01

const NOW = `(extract(epoch from clock_timestamp()) * 1000)::bigint`

/** Another process that lives writes the same audit chain, or did until a moment ago. */
export class InstanceTaken extends StoreError {
  constructor(instance: string) {
    super(
      'INSTANCE_TAKEN',
      `another process serves as instance ${instance} on this database: give each its own (SSM_INSTANCE), or wait until it is gone`,
    )
  }
}

/** How often each key was destroyed. */
export type Destructions = ReadonlyMap<string, { label: string; id: number; times: number }>

export function destructionName(label: string, id: number): string {
  return `${id} ${label}`
}

/** What a membership tells. */
export interface MembershipEvents {
  onMessage(message: Message): void
  /** the replicas that live, this one left out; told with each renewal */
  onLiving(living: Set<string>): void
  /** it is over, whether the connection broke or the others count this one as gone; told once */
  onEnd(cause: Error): void
}

/**
 * One replica among others, by one connection to the database: it listens, it says every second that it lives, and it holds the locks of
 * changes. When the connection is gone all of that is over at once, and another membership has to be begun.
 *
 * A change waits for everybody who has lived by the database's clock within {@link LEASE_MS}. {@link Membership.holds} turns false
 * earlier than that, by this process's own clock, counted from before its sign of life was sent.
 */
export class Membership {
  readonly id = randomUUID()
  readonly #client: Client
  readonly #events: MembershipEvents
  readonly #now: () => number
  #heldUntil = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined
  /** what was said since it joined and before {@link begin} */
  #early: Message[] | undefined = []
  #ended = false

  private constructor(client: Client, events: MembershipEvents, now: () => number) {
    this.#client = client
    this.#events = events
    this.#now = now
  }

  /**
   * Joins the replicas on a database, when no change is under way.
   *
   * @param before the id of the membership that this one follows in this process
   * @throws InstanceTaken, StoreError
   */
  static async join(
    { url, instance, before }: { url: string; instance: string; before: string | undefined },
    events: MembershipEvents,
    now: () => number,
  ): Promise<{ membership: Membership; destructions: Destructions }> {
    const client = new Client({
      ...connectionOf(url),
      application_name: `ssm ${instance}`,
      statement_timeout: JOIN_TIMEOUT_MS,
      query_timeout: JOIN_TIMEOUT_MS,
    })
    const membership = new Membership(client, events, now)
    // also before it has joined: an error event that nobody hears would end the process
    client.on('error', (error) => membership.#end(error))
    client.on('end', () => membership.#end(new Error('the connection ended')))
    client.on('notification', ({ payload = '' }) => membership.#hear(payload))
    try {
      await client.connect()
      await client.query(END_WITH_THIS_MACHINE)
      const destructions = await membership.#join(instance, before)
      return { membership, destructions }
    } catch (error) {
      membership.#ended = true
      void client.end().catch(() => {})
      throw error instanceof StoreError ? error : toStoreError(error)
    }
  }

  /** Whether nothing can have happened that was not told here. */
  get holds(): boolean {
    return !this.#ended && this.#now() < this.#heldUntil
  }

  /** Tells what was said since it joined, and from now on. @throws StoreError where it is over already */
  begin(): void {
    if (this.#ended) throw new StoreError('STORE_CLOSED', 'the connection to the database ended as soon as it was made')
    const early = this.#early ?? []
    this.#early = undefined
    for (const message of early) this.#events.onMessage(message)
  }

  async say(message: Message): Promise<void> {
    await this.#client.query('select pg_notify($1, $2)', [CHANNEL, JSON.stringify(message)])
  }

  /** Writes down and says, in one step, that a key is about to be destroyed. */
  async sayDestroying(message: { number: number; label: string; id: number }): Promise<number> {
    const { number, label, id } = message
    const text = { kind: 'destroying', from: this.id, number, label, id }
    const { rows } = await this.#client.query<{ times: number }>(
      `with destroyed as (
         insert into key_destructions (label, key_id, times) values ($1, $2, 1)
         on conflict (label, key_id) do update set times = key_destructions.times + 1 returning times)
       select times, pg_notify($3, ($4::jsonb || jsonb_build_object('times', times))::text) from destroyed`,
      [label, id, CHANNEL, JSON.stringify(text)],
    )
    return rows[0]?.times ?? 0
  }

  /** The others that live now. */
  async living(): Promise<Set<string>> {
    const { rows } = await this.#client.query<{ replica: string }>(
      `select replica from replicas where renewed_at > ${NOW} - ${LEASE_MS} and replica <> $1`,
      [this.id],
    )
    return new Set(rows.map(({ replica }) => replica))
  }

  /** True where no other replica changes keys under the label, nor joins, until {@link unlock}. */
  async tryLock(label: string): Promise<boolean> {
    if (!(await this.#ask(`pg_try_advisory_lock_shared(${JOIN_LOCK})`))) return false
    if (await this.#ask(`pg_try_advisory_lock(${LABEL_LOCKS}, hashtext($1))`, label)) return true
    await this.#ask(`pg_advisory_unlock_shared(${JOIN_LOCK})`)
    return false
  }

  async unlock(label: string): Promise<void> {
    await this.#ask(`pg_advisory_unlock(${LABEL_LOCKS}, hashtext($1))`, label)
    await this.#ask(`pg_advisory_unlock_shared(${JOIN_LOCK})`)
  }

  /** Leaves: the others need not wait for this one any more. */
  async leave(): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    clearTimeout(this.#timer)
    await this.#client.query('delete from replicas where replica = $1', [this.id]).catch(() => {})
    await this.say({ kind: 'left', from: this.id }).catch(() => {})
    await this.#client.end().catch(() => {})
  }

  async #ask(call: string, ...parameters: string[]): Promise<boolean> {
    const { rows } = await this.#client.query<{ answer: boolean }>(`select ${call} as answer`, parameters)
    return rows[0]?.answer === true
  }

  async #join(instance: string, before: string | undefined): Promise<Destructions> {
    const client = this.#client
    // before everything else, so that nothing said after it is missed
    await client.query(`listen ${CHANNEL}`)
    const askedAt = this.#now()
    await client.query('begin')
    await client.query(`select pg_advisory_xact_lock(${JOIN_LOCK})`)
    const { rowCount } = await client.query(
      `insert into replicas (instance, replica, renewed_at) values ($1, $2, ${NOW})
       on conflict (instance) do update set replica = excluded.replica, renewed_at = excluded.renewed_at
       where replicas.replica = $3 or replicas.renewed_at <= ${NOW} - ${LEASE_MS}`,
      [instance, this.id, before ?? ''],
    )
    if (rowCount !== 1) throw new InstanceTaken(instance)
    const { rows } = await client.query<{ label: string; key_id: number; times: number }>(
      'select * from key_destructions',
    )
    if (before !== undefined) await this.say({ kind: 'left', from: before })
    await client.query('commit')
    this.#heldUntil = askedAt + OWN_LEASE_MS
    this.#renewLater()
    return new Map(
      rows.map(({ label, key_id: id, times }) => [destructionName(label, id), { label, id, times }] as const),
    )
  }

  #renewLater(): void {
    this.#timer = setTimeout(() => {
      void this.#renew().then(
        () => this.#renewLater(),
        (error: unknown) => this.#end(error instanceof Error ? error : new Error(String(error))),
      )
    }, RENEW_MS)
    this.#timer.unref()
  }

  async #renew(): Promise<void> {
    const askedAt = this.#now()
    const late = setTimeout(() => this.#end(new Error('the database does not answer')), LEASE_MS)
    late.unref()
    const { rowCount } = await this.#client
      .query(`update replicas set renewed_at = ${NOW} where replica = $1 and renewed_at > ${NOW} - ${LEASE_MS}`, [
        this.id,
      ])
      .finally(() => clearTimeout(late))
    // whoever destroyed a key meanwhile did not wait for this replica
    if (rowCount !== 1) throw new Error('the others count this replica as gone')
    this.#heldUntil = askedAt + OWN_LEASE_MS
    this.#events.onLiving(await this.living())
  }

  #hear(payload: string): void {
    const message = readMessage(payload)
    if (message === undefined || this.#ended || message.from === this.id) return
    if (this.#early === undefined) this.#events.onMessage(message)
    else this.#early.push(message)
  }

  #end(cause: Error): void {
    if (this.#ended) return
    this.#ended = true
    clearTimeout(this.#timer)
    void this.#client.end().catch(() => {})
    this.#events.onEnd(cause)
  }
}

/** Has the others not wait any more for a replica whose connection broke. By any connection there is. */
export async function bury(store: Store, replica: string): Promise<void> {
  await store.deleteFrom('replicas').where('replica', '=', replica).execute()
  const message: Message = { kind: 'left', from: replica }
  await sql`select pg_notify(${CHANNEL}, ${JSON.stringify(message)})`.execute(store)
}
