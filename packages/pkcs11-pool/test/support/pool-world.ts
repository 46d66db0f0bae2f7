import assert from 'node:assert/strict'
import { Pkcs11PoolError } from '../../src/errors.js'
import { createPool, DEFAULT_POOL_OPTIONS, type Entry, type Pool, type PoolOptions } from '../../src/pool/index.js'
import { FakeClock, settled } from './fake-clock.js'
import { type Ending, FakeFactory, type FakeResource } from './fake-factory.js'

/** How the factory's calls end from now on; `manual` ones hang until a `settle` step ends them, if one does. */
export interface Behaviour {
  create: Ending
  validate: Ending | boolean
  destroy: Ending
}

export type Step =
  | { do: 'acquire'; timeoutMs: number | undefined; abortable: boolean }
  | { do: 'tryAcquire' }
  | { do: 'abort' | 'release' | 'destroy' | 'releaseAgain'; which: number }
  | {
      do: 'settle'
      kind: 'creates' | 'validates' | 'destroys'
      which: number
      how: 'ok' | 'error' | 'noMore' | 'credentials'
    }
  | { do: 'behave'; as: Behaviour }
  | { do: 'reset' }
  | { do: 'resize'; minSize: number; maxSize: number }
  | { do: 'limitTo'; count: number }
  | { do: 'advance' | 'jump'; ms: number }

interface Pending {
  number: number
  since: number
  timeoutMs: number
  controller: AbortController | undefined
}

const CODES = ['ACQUIRE_TIMEOUT', 'CREATE_FAILED', 'CREATE_TIMEOUT', 'QUEUE_FULL', 'POOL_CLOSED']

/** A pool, the other side of it, and everybody who uses it: what is true of them is counted here, and compared with the stats. */
export class World {
  readonly clock = new FakeClock()
  readonly factory = new FakeFactory(this.clock)
  readonly pool: Pool<FakeResource>
  readonly pending = new Map<number, Pending>()
  readonly leases: Entry<FakeResource>[] = []
  readonly returned: Entry<FakeResource>[] = []
  readonly #noted: unknown[] = []
  #longestCreationMs = 0
  #acquires = 0
  readonly #options: PoolOptions

  constructor(options: PoolOptions, random: () => number) {
    this.#options = options
    this.factory.beforeCreate = () => this.#noting(() => this.#checkRoom())
    this.pool = createPool(this.factory, options, { clock: this.clock, random })
    this.pool.on('destroyed', ({ reason }) =>
      this.#noting(() => {
        const { currentSize, minSize } = this.pool.stats()
        if (reason === 'idle') atMost(minSize, currentSize, 'resources after idle trimming')
      }),
    )
    this.pool.on('created', ({ tookMs }) => {
      this.#longestCreationMs = Math.max(this.#longestCreationMs, tookMs)
    })
    for (const event of ['created', 'destroyed', 'acquired', 'released', 'createFailed', 'timeout'] as const) {
      this.pool.on(event, () => this.#noting(() => this.#checkSums()))
    }
  }

  /** Where what is thrown would be lost (the pool survives it), it is kept for the next check. */
  #noting(check: () => void): void {
    try {
      check()
    } catch (error) {
      this.#noted.push(error)
    }
  }

  /** What has not come back, or not ended. */
  get #out(): number {
    const { open } = this.factory
    return this.leases.length + this.pool.stats().validating + open.creates + open.destroys
  }

  async take(step: Step): Promise<void> {
    await this.#act(step)
    this.#checkSums()
    await settled()
    this.#check()
  }

  async #act(step: Step): Promise<void> {
    switch (step.do) {
      case 'acquire':
        return this.#acquire(step.timeoutMs, step.abortable)
      case 'tryAcquire': {
        const waiting = this.pool.stats().waiting
        const entry = this.pool.tryAcquireEntry()
        if (entry === undefined) return
        assert.equal(waiting, 0, 'somebody was overtaken')
        this.#leased(entry)
        assert.ok(
          this.clock.now() - entry.resource.born < (this.#options.maxLifetimeMs ?? Infinity),
          'older than its lifetime',
        )
        return
      }
      case 'abort': {
        const abortable = [...this.pending.values()].filter(({ controller }) => controller !== undefined)
        return pick(abortable, step.which)?.controller?.abort('aborted')
      }
      case 'release':
      case 'destroy': {
        const entry = pick(this.leases, step.which)
        if (entry === undefined) return
        this.leases.splice(this.leases.indexOf(entry), 1)
        this.returned.push(entry)
        return step.do === 'release' ? this.pool.releaseEntry(entry) : this.pool.destroyEntry(entry)
      }
      case 'releaseAgain': {
        const entry = pick(this.returned, step.which)
        if (entry === undefined || this.leases.includes(entry)) return
        return assert.throws(() => this.pool.releaseEntry(entry), /released already/)
      }
      case 'settle': {
        const call = pick(this.factory[step.kind], step.which)
        if (step.how === 'ok') return call?.succeed()
        if (step.how === 'noMore') return call?.fail(this.factory.noMore)
        return call?.fail(step.how === 'error' ? undefined : new Pkcs11PoolError('CREDENTIALS_REJECTED', 'no'))
      }
      case 'behave':
        this.factory.onCreate = () => step.as.create
        this.factory.onValidate = () => step.as.validate
        this.factory.onDestroy = () => step.as.destroy
        return
      case 'reset':
        return this.pool.reset()
      case 'resize':
        return this.pool.resize({ minSize: Math.min(step.minSize, step.maxSize), maxSize: step.maxSize })
      case 'limitTo':
        return this.pool.limitTo(step.count)
      case 'advance':
        return this.clock.advance(step.ms)
      case 'jump':
        return this.clock.jump(step.ms)
    }
  }

  #acquire(timeoutMs: number | undefined, abortable: boolean): void {
    const number = this.#acquires++
    const controller = abortable ? new AbortController() : undefined
    const acquired = this.pool.acquireEntry({ timeoutMs, signal: controller?.signal })
    this.pending.set(number, {
      number,
      since: this.clock.now(),
      timeoutMs: timeoutMs ?? this.#options.acquireTimeoutMs ?? 10_000,
      controller,
    })
    acquired.then(
      (entry) =>
        this.#noting(() => {
          // First come, first served: whoever came earlier has been answered.
          assert.equal(number, Math.min(...this.pending.keys()))
          this.pending.delete(number)
          this.#leased(entry)
        }),
      (reason: unknown) =>
        this.#noting(() => {
          this.pending.delete(number)
          if (reason !== 'aborted') assert.ok(CODES.includes((reason as Pkcs11PoolError).code), String(reason))
        }),
    )
  }

  #leased(entry: Entry<FakeResource>): void {
    assert.ok(!this.leases.includes(entry), 'leased to two')
    this.#checkLeased(entry)
    this.leases.push(entry)
  }

  #checkLeased({ resource }: Entry<FakeResource>): void {
    assert.ok(resource.alive && resource.endedBy === undefined, 'a leased resource was destroyed')
  }

  /** Called as each creation starts: with it, what exists or is being made is no more than allowed. */
  #checkRoom(): void {
    if (this.pool === undefined) return
    const { effectiveMaxSize, stalled } = this.pool.stats()
    const existing = this.factory.live.length + this.factory.open.creates + 1
    atMost(existing, effectiveMaxSize + stalled, 'resources')
  }

  /** True at every moment, in the middle of things too. */
  #checkSums(): void {
    const stats = this.pool.stats()
    assert.equal(stats.currentSize, stats.available + stats.inUse)
    assert.equal(stats.currentSize, stats.created - stats.destroyed)
    assert.equal(stats.inUse, stats.acquired - stats.released + stats.validating)
  }

  /** True whenever things have come to rest. */
  #check(): void {
    if (this.#noted.length > 0) throw this.#noted[0]
    this.#checkSums()
    const stats = this.pool.stats()
    const { live, open } = this.factory
    assert.equal(stats.inUse - stats.validating, this.leases.length)
    assert.equal(stats.waiting, this.pending.size)
    assert.equal(stats.currentSize, live.filter(({ endedBy }) => endedBy === undefined).length)
    assert.equal(stats.creating + stats.orphaned + stats.destroying + stats.stalled, open.creates + open.destroys)
    for (const entry of this.leases) this.#checkLeased(entry)
    if (stats.state === 'open') this.#checkDecisions()
  }

  /** Nobody waits for what could be had, and nothing is made that nobody has use for. */
  #checkDecisions(): void {
    const stats = this.pool.stats()
    const used = stats.currentSize + stats.creating + stats.orphaned + stats.destroying
    if (stats.available > 0) atMost(stats.waiting, stats.validating, 'waiters beside idle resources')
    const unserved = [...this.pending.values()][stats.validating + stats.creating]
    if (unserved !== undefined && used < stats.effectiveMaxSize) this.#checkPatience(unserved)
    if (stats.available > 0) atMost(stats.currentSize, stats.effectiveMaxSize, 'resources, some idle,')
    if (stats.createFailures === 0 && used < stats.effectiveMaxSize) {
      atMost(stats.minSize, stats.currentSize + stats.creating, 'minSize')
    }
    const now = this.clock.now()
    const waiters = [...this.pending.values()]
    for (const { since, timeoutMs } of waiters) {
      assert.ok(timeoutMs === 0 || now < since + timeoutMs, 'somebody waits beyond the timeout')
    }
    atMost(waiters.filter(({ timeoutMs }) => timeoutMs === 0).length, stats.validating, 'impatient waiters')
  }

  /** Somebody waits for a release though one more could be opened: as long as that would take, at most. */
  #checkPatience({ since }: Pending): void {
    assert.ok(
      this.leases.length + this.pool.stats().validating > 0,
      'somebody waits for a release, and nothing is in use',
    )
    const bound = Math.min(this.#options.growAfterMs ?? DEFAULT_POOL_OPTIONS.growAfterMs, this.#longestCreationMs)
    const waited = this.clock.now() - since
    assert.ok(waited < bound, `somebody has waited ${waited} ms, and opening one takes ${bound}`)
  }

  /** Closes the pool with what is out still out, then gives everything back: nothing may be left of it. */
  async end(timeoutMs: number): Promise<void> {
    let result: { abandoned: number } | undefined
    this.pool.on('closed', ({ abandoned }) =>
      this.#noting(() => {
        // Closing at once, the pool cannot have heard yet of what has just ended.
        if (timeoutMs === 0) atMost(this.#out, abandoned, 'what is out')
        else assert.equal(abandoned, this.#out)
      }),
    )
    void this.pool.close({ timeoutMs }).then((answer) => {
      result = answer
    })
    this.#checkSums()
    await settled()
    this.#check()
    assert.equal(this.pending.size, 0)
    assert.equal(this.pool.stats().available, 0)
    await this.clock.advance(timeoutMs)
    assert.ok(result, 'close did not end in time')

    this.factory.onDestroy = () => 'ok'
    for (const entry of this.leases.splice(0)) this.pool.releaseEntry(entry)
    for (const kind of ['creates', 'validates', 'destroys'] as const) {
      for (const call of this.factory[kind]) call.succeed()
      await settled()
    }
    await this.clock.advance(60_000)
    this.#check()
    assert.deepEqual(this.factory.live, [])
    assert.ok(!this.factory.endings.includes(undefined), 'a resource was never destroyed')
    const { state, currentSize, stalled, creating, orphaned, destroying } = this.pool.stats()
    assert.equal(state, 'closed')
    assert.equal(currentSize + stalled + creating + orphaned + destroying, 0)
    assert.equal(this.clock.armed, 0, 'a timer is left')
    assert.deepEqual(await this.pool.close(), result)
  }
}

function pick<V>(from: V[], which: number): V | undefined {
  return from[which % from.length]
}

function atMost(value: number, limit: number, what: string): void {
  assert.ok(value <= limit, `${what}: ${value}, expected at most ${limit}`)
}
