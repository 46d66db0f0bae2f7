import { setTimeout as delay } from 'node:timers/promises'
import { Problem } from '../problems/problem.js'
import { ClosedLabels } from './closed-labels.js'
import { type Destructions, destructionName, InstanceTaken, Membership } from './membership.js'
import type { Message } from './message.js'
import type { KeyNews, Replicas } from './replicas.js'

/** How long, in milliseconds, requests wait for this replica to follow the others again, and for another's change to be over. */
const WAIT_MS = 3_000
/** How long, in milliseconds, a change waits for the others, dead ones included until they count as gone. */
const CHANGE_TIMEOUT_MS = 10_000
/** Between two attempts to follow the others again, and to get a lock that another has; what another says ends the wait for a lock. */
const REJOIN_MS = 200
const LOCK_RETRY_MS = 50

/** What {@link PostgresReplicas} needs. */
export interface PostgresReplicasOptions {
  url: string
  /** each process has its own */
  instance: string
  /** says in the name of a membership that broke off that it is gone, by whatever connection there is */
  bury: (replica: string) => Promise<unknown>
  /** hears why this replica does not follow the others any more */
  onFailure: (error: unknown) => void
  /** milliseconds of a clock that never goes back */
  now?: () => number
}

interface Awaited {
  missing: Set<string>
  done: () => void
  fail: (cause: unknown) => void
}

/** The replicas on one PostgreSQL database. See {@link Replicas} for what they promise each other, and adr 0020 for why. */
export class PostgresReplicas implements Replicas {
  readonly #options: PostgresReplicasOptions
  readonly #now: () => number
  readonly #closed = new ClosedLabels(WAIT_MS)
  /** by the number of what was said: who has not yet said that it is known */
  readonly #awaited = new Map<number, Awaited>()
  /** by label: the membership whose connection has its lock; callers see to it that there is one at a time */
  readonly #holders = new Map<string, Membership>()
  /** the destructions that the token is at */
  readonly #destroying = new Set<Promise<void>>()
  readonly #lockWaiters = new Set<() => void>()
  #news: KeyNews | undefined
  /** the others, as of the last sign of life */
  #living = new Set<string>()
  #membership: Membership | undefined
  #destructions: Map<string, { label: string; id: number; times: number }> = new Map()
  #back: { promise: Promise<void>; resolve: () => void } | undefined
  #lostAt = 0
  #number = 0
  #stopped = false

  private constructor(options: PostgresReplicasOptions) {
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
  }

  /** Joins the others. @throws InstanceTaken where another process has the name and lives; StoreError */
  static async join(options: PostgresReplicasOptions): Promise<PostgresReplicas> {
    const replicas = new PostgresReplicas(options)
    const until = replicas.#now() + CHANGE_TIMEOUT_MS
    for (;;) {
      try {
        await replicas.#join(undefined)
        return replicas
      } catch (error) {
        // a process that was killed has the name for some seconds more
        if (!(error instanceof InstanceTaken) || replicas.#now() > until) throw error
        await delay(REJOIN_MS)
      }
    }
  }

  follow(news: KeyNews): void {
    this.#news = news
  }

  admission(label: string): Promise<void> | undefined {
    return this.caughtUp() ?? this.#closed.opening(label)
  }

  caughtUp(): Promise<void> | undefined {
    if (this.#membership?.holds === true) return undefined
    return this.#untilBack()
  }

  async exclusively<T>(label: string, work: () => Promise<T>): Promise<T> {
    const membership = await this.#lock(label)
    this.#holders.set(label, membership)
    try {
      return await work()
    } finally {
      this.#holders.delete(label)
      // with the connection the locks are gone
      await membership.unlock(label).catch(() => {})
    }
  }

  async destroying(label: string, id: number, destroy: () => Promise<void>): Promise<void> {
    // a later one does not have the lock
    const membership = this.#holders.get(label)
    if (membership?.holds !== true) throw unavailable(undefined)
    await this.#told(membership, async (number) => {
      const times = await membership.sayDestroying({ number, label, id })
      this.#destructions.set(destructionName(label, id), { label, id, times })
    })
    // those who were told count on it that nobody destroys a key who is cut off from them
    if (!membership.holds) throw unavailable(undefined)
    const destroyed = destroy()
    this.#destroying.add(destroyed)
    await destroyed.finally(() => this.#destroying.delete(destroyed))
  }

  async tellChanged(label: string): Promise<void> {
    const until = this.#now() + CHANGE_TIMEOUT_MS
    for (;;) {
      try {
        const membership = await this.#member(until)
        await this.#told(membership, (number) =>
          membership.say({ kind: 'changed', from: membership.id, number, label }),
        )
        return
      } catch (error) {
        // said again by the next membership: that something changed may be said twice
        if (this.#stopped || this.#now() > until) throw error
        await delay(REJOIN_MS)
      }
    }
  }

  async close(): Promise<void> {
    this.#stopped = true
    const membership = this.#membership
    this.#membership = undefined
    this.#closed.openAll()
    this.#back?.resolve()
    await membership?.leave()
  }

  /** Says something and waits until all who lived then, and live still, know. */
  async #told(membership: Membership, say: (number: number) => Promise<void>): Promise<void> {
    const number = ++this.#number
    const missing = await membership.living().catch(failed)
    const known = new Promise<void>((done, reject) => {
      const fail = (cause: unknown) => reject(unavailable(cause))
      this.#awaited.set(number, { missing, done, fail })
      if (missing.size === 0) done()
    })
    // awaited below, and until then it may fail
    known.catch(() => {})
    const timer = setTimeout(() => {
      this.#awaited.get(number)?.fail(new Error(`${missing.size} replicas did not answer`))
    }, CHANGE_TIMEOUT_MS)
    try {
      await say(number).catch(failed)
      await known
    } finally {
      clearTimeout(timer)
      this.#awaited.delete(number)
    }
  }

  async #lock(label: string): Promise<Membership> {
    const until = this.#now() + CHANGE_TIMEOUT_MS
    for (;;) {
      const membership = await this.#member(until)
      if (await membership.tryLock(label).catch(failed)) return membership
      if (this.#now() > until) throw unavailable(undefined)
      await new Promise<void>((resolve) => {
        const again = () => {
          clearTimeout(timer)
          this.#lockWaiters.delete(again)
          resolve()
        }
        const timer = setTimeout(again, LOCK_RETRY_MS)
        this.#lockWaiters.add(again)
      })
    }
  }

  async #member(until: number): Promise<Membership> {
    for (;;) {
      const wait = this.caughtUp()
      if (wait !== undefined) await wait
      const membership = this.#membership
      if (membership?.holds === true) return membership
      if (this.#now() > until) throw unavailable(undefined)
    }
  }

  async #join(before: string | undefined): Promise<void> {
    const { url, instance } = this.#options
    const { membership, destructions } = await Membership.join(
      { url, instance, before },
      {
        onMessage: (message) => this.#hear(message),
        onLiving: (living) => this.#seeLiving(living),
        onEnd: (cause) => this.#lose(cause),
      },
      this.#now,
    )
    this.#catchUp(destructions)
    this.#membership = membership
    this.#living = new Set()
    try {
      membership.begin()
    } catch (error) {
      this.#membership = undefined
      throw error
    }
    this.#back?.resolve()
    this.#back = undefined
  }

  /** What was destroyed while this replica did not follow. */
  #catchUp(destructions: Destructions): void {
    for (const [name, { label, id, times }] of destructions) {
      if (this.#destructions.get(name)?.times !== times) this.#news?.destroying(label, id)
    }
    this.#destructions = new Map(destructions)
    this.#news?.anything()
    this.#closed.openAll()
  }

  #lose(cause: Error): void {
    const membership = this.#membership
    if (membership === undefined || this.#stopped) return
    this.#membership = undefined
    this.#lostAt = this.#now()
    this.#back ??= deferred()
    for (const { fail } of this.#awaited.values()) fail(cause)
    this.#options.onFailure(cause)
    void this.#rejoin(membership.id)
  }

  async #rejoin(before: string): Promise<void> {
    // the others go on as soon as they hear that this one is gone, so what it has begun comes first
    await Promise.allSettled(this.#destroying)
    void this.#options.bury(before).catch(() => {})
    while (!this.#stopped) {
      try {
        await this.#join(before)
        return
      } catch (error) {
        this.#options.onFailure(error)
        await delay(REJOIN_MS, undefined, { ref: false })
      }
    }
  }

  /** Resolves when the others are followed again. After a loss everybody waits until the same moment, and nobody after it. */
  async #untilBack(): Promise<void> {
    const from = this.#now()
    while (this.#membership?.holds !== true) {
      const left = (this.#back === undefined ? from : this.#lostAt) + WAIT_MS - this.#now()
      if (this.#stopped || left <= 0) throw unavailable(undefined)
      // without a loss this process only stood still, and its next sign of life decides
      const wait = this.#back === undefined ? LOCK_RETRY_MS : left
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, wait)))
      await Promise.race([late, ...(this.#back === undefined ? [] : [this.#back.promise])])
      clearTimeout(timer)
    }
  }

  #hear(message: Message): void {
    const { from } = message
    switch (message.kind) {
      case 'destroying': {
        const { label, id, times } = message
        this.#destructions.set(destructionName(label, id), { label, id, times })
        this.#closed.close(label, from)
        this.#news?.destroying(label, id)
        this.#confirm(message)
        break
      }
      case 'changed':
        this.#news?.changed(message.label)
        this.#closed.open(message.label, from)
        this.#confirm(message)
        this.#wakeLockWaiters()
        break
      case 'known':
        if (message.to === this.#membership?.id) this.#settle(message.number, from)
        break
      case 'left':
        this.#seeGone(from)
        break
    }
  }

  #confirm({ from, number }: { from: string; number: number }): void {
    const membership = this.#membership
    // one that cannot say so is waited for until it counts as gone
    membership?.say({ kind: 'known', from: membership.id, to: from, number }).catch(() => {})
  }

  #settle(number: number, by: string): void {
    const awaited = this.#awaited.get(number)
    if (awaited?.missing.delete(by) === true && awaited.missing.size === 0) awaited.done()
  }

  #seeLiving(living: Set<string>): void {
    const awaited = [...this.#awaited.values()].flatMap(({ missing }) => [...missing])
    for (const replica of new Set([...this.#living, ...awaited, ...this.#closed.owners()]))
      if (!living.has(replica)) this.#seeGone(replica)
    this.#living = living
  }

  /** What it did last may not have been told. */
  #seeGone(replica: string): void {
    this.#living.delete(replica)
    this.#news?.anything()
    this.#closed.openAllOf(replica)
    for (const number of this.#awaited.keys()) this.#settle(number, replica)
    this.#wakeLockWaiters()
  }

  #wakeLockWaiters(): void {
    for (const again of this.#lockWaiters) again()
  }
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {}
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

function failed(cause: unknown): never {
  throw unavailable(cause)
}

function unavailable(cause: unknown): Problem {
  return new Problem(
    'DATABASE_UNAVAILABLE',
    'the database is out of reach, and without it nobody here knows what other replicas do to keys; try again later',
    { cause, headers: { 'retry-after': '1' } },
  )
}
