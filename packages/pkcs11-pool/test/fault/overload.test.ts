import { queryObjects } from 'node:v8'
import { beforeEach, expect, test } from 'vitest'
import type { Client, Pkcs11PoolError } from '../../src/index.js'
import { Waiter } from '../../src/pool/wait-list.js'
import { Capture } from '../../src/session/capture.js'
import { useWrappedToken } from '../support/wrapped-token.js'

const { module, open } = useWrappedToken([{ label: 'k' }])
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.alloc(16) } as const
const data = Buffer.alloc(1_024)
const MAX_SIZE = 4
const MAX_WAITERS = 100
/** The engine has a thread for each session and two more, and as many again for calls that hang. */
const MAX_THREADS = 2 * (MAX_SIZE + 2)

/** Objects of a class that something still holds, after a collection of garbage. */
function alive(constructor: abstract new (...args: never[]) => unknown): number {
  return queryObjects(constructor, { format: 'count' })
}

/** What came of calls, by the code of the error or `served`, and the most there was of everything meanwhile. */
class Offered {
  readonly outcomes = new Map<string, number>()
  readonly most = { waiting: 0, queued: 0, threads: 0, sessions: 0, captured: 0 }
  readonly #pending = new Set<Promise<void>>()

  constructor(readonly client: Client) {}

  get settled(): number {
    return [...this.outcomes.values()].reduce((sum, count) => sum + count, 0)
  }

  /** `count` calls at once, and a look at what is there. */
  offer(count: number): void {
    for (let i = 0; i < count; i++) {
      const call = this.client.encrypt({ label: 'k' }, cbc, data).then(
        () => this.#note('served'),
        (error: Pkcs11PoolError) => this.#note(error.code),
      )
      this.#pending.add(call)
      void call.then(() => this.#pending.delete(call))
    }
    const { waiting, currentSize, engine } = this.client.stats()
    this.#most('waiting', waiting)
    this.#most('queued', engine.queued)
    this.#most('threads', engine.threads)
    this.#most('sessions', currentSize)
  }

  /** Calls in portions, each portion when what is ready to run has run. */
  async offerMany(portions: number, count: number): Promise<void> {
    for (let i = 0; i < portions; i++) {
      this.offer(count)
      await new Promise(setImmediate)
      if (i % 20 === 0) this.#most('captured', alive(Capture))
    }
  }

  async end(): Promise<void> {
    await Promise.all(this.#pending)
    await new Promise(setImmediate)
  }

  #note(outcome: string): void {
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1)
  }

  #most(name: keyof Offered['most'], count: number): void {
    this.most[name] = Math.max(this.most[name], count)
  }
}

function expectBounded({ most }: Offered): void {
  expect(most.waiting).toBeLessThanOrEqual(MAX_WAITERS)
  expect(most.sessions).toBeLessThanOrEqual(MAX_SIZE)
  expect(most.threads).toBeLessThanOrEqual(MAX_THREADS)
  expect(most.queued).toBeLessThanOrEqual(MAX_SIZE + 2)
  // The inputs of those who wait and of those who have a session, and of nobody else.
  expect(most.captured).toBeLessThanOrEqual(MAX_WAITERS + MAX_SIZE)
}

function expectNothingLeft(client: Client): void {
  expect(client.stats()).toMatchObject({ waiting: 0, inUse: 0 })
  expect([alive(Waiter), alive(Capture)]).toEqual([0, 0])
}

beforeEach(() => {
  if (alive(Waiter) + alive(Capture) > 0) throw new Error('a test before this one has left something')
})

test('of 20,000 calls offered to a slow token each is answered, and no more are held than may wait', async () => {
  const client = await open({ pool: { minSize: MAX_SIZE, maxSize: MAX_SIZE, maxWaiters: MAX_WAITERS } })
  module.delay('C_Encrypt', 2_000)
  const offered = new Offered(client)
  await offered.offerMany(200, 100)
  await offered.end()
  expect(offered.settled).toBe(20_000)
  expect([...offered.outcomes.keys()].toSorted()).toEqual(['QUEUE_FULL', 'served'])
  expectBounded(offered)
  expect(offered.most.waiting).toBe(MAX_WAITERS)
  expectNothingLeft(client)
})

test('what 25,000 more calls leave behind is no more than what 5,000 did', async () => {
  const client = await open({ pool: { minSize: MAX_SIZE, maxSize: MAX_SIZE, maxWaiters: MAX_WAITERS } })
  module.delay('C_Encrypt', 1_000)
  const held = async (portions: number): Promise<number> => {
    const offered = new Offered(client)
    await offered.offerMany(portions, 100)
    await offered.end()
    expect(offered.settled).toBe(portions * 100)
    expectNothingLeft(client)
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return heapUsed + arrayBuffers
  }
  const before = await held(50)
  // Of each call not even a tenth of its input.
  expect((await held(250)) - before).toBeLessThan(25_000 * (data.length / 10))
})

test('while a token hangs, calls that are offered end by the deadlines of those who wait, and sessions are lost within bounds', async () => {
  const client = await open({
    pool: {
      minSize: MAX_SIZE,
      maxSize: MAX_SIZE,
      maxWaiters: MAX_WAITERS,
      acquireTimeoutMs: 50,
      operationTimeoutMs: 100,
      createTimeoutMs: 100,
    },
    // With the breaker open, nothing more would be sent that could hang.
    breaker: { failureThreshold: 1_000_000 },
  })
  await client.encrypt({ label: 'k' }, cbc, data)
  module.hang('C_Encrypt')
  const offered = new Offered(client)
  // Until every thread is in a call that hangs, and then on.
  while (client.stats().engine.hung < MAX_THREADS) await offered.offerMany(1, 100)
  await offered.offerMany(50, 100)
  await offered.end()
  expect(offered.settled).toBeGreaterThan(5_000)
  expectBounded(offered)
  expect([...offered.outcomes.keys()]).not.toContain('served')
  expect([...offered.outcomes.keys()]).toContain('QUEUE_FULL')
  expect(module.hanging()).toBeLessThanOrEqual(MAX_THREADS)
  // With those that are lost, the pool's and the one that holds the login.
  expect(module.openSessions()).toBeLessThanOrEqual(MAX_THREADS + MAX_SIZE + 1)
  expectNothingLeft(client)

  module.release()
  while (client.stats().engine.hung > 0) await new Promise(setImmediate)
  expect(await client.encrypt({ label: 'k' }, cbc, data)).toHaveLength(1_040)
})
