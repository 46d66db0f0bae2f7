import { expect, test } from 'vitest'
import { Pkcs11PoolError } from '../../src/index.js'
import { KeyOperations } from '../../src/key-operations.js'
import { DEFAULT_HANDLE_CACHE_OPTIONS, HandleCache } from '../../src/keys/handle-cache.js'
import type { Engine, EngineSession } from '../../src/pkcs11/engine.js'
import { Deadline } from '../../src/session/deadline.js'
import type { Login } from '../../src/session/login.js'
import { PooledSession } from '../../src/session/pooled-session.js'
import type { LeaseHost } from '../../src/session-leases.js'
import { FakeClock, settled } from '../support/fake-clock.js'
import { rejection } from '../support/rejection.js'

const reference = { label: 'k' }
const FOUND = [7, [ulong(4), ulong(0x1f), Buffer.from('k'), Buffer.alloc(0), ulong(32), null, null]]
const hung = new Pkcs11PoolError('OPERATION_TIMEOUT', 'find did not return')

function ulong(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

/** An engine whose searches the test answers, and who asks it. */
function setUp() {
  const searches: { session: number; answer(): void; fail(error: Error): void }[] = []
  const engine = {
    run: (_: unknown, session: EngineSession) =>
      new Promise((resolve, reject) => {
        searches.push({ session: session.id, answer: () => resolve(FOUND), fail: reject })
      }),
  } as unknown as Engine
  const login = {
    noteKey: () => undefined,
    duringLogin: (context: unknown, search: (context: unknown) => unknown) => search(context),
  } as unknown as Login
  const host = { operationTimeoutMs: 60_000, token: { login } } as unknown as LeaseHost
  const operations = new KeyOperations(host, new HandleCache(DEFAULT_HANDLE_CACHE_OPTIONS, new FakeClock()))
  const ask = (id: number, deadline?: Deadline, signal?: AbortSignal) => {
    const pooled = new PooledSession(engine, { id } as EngineSession)
    const context = { engine, session: pooled.session, login, timeoutMs: 60_000, deadline, signal }
    return operations.handleOf(reference, 'any', context, pooled)
  }
  return { searches, ask }
}

test('a search that hangs fails for the one whose it is, and of those who joined one searches again for all', async () => {
  const { searches, ask } = setUp()
  const first = rejection(ask(1))
  const joined = [ask(2), ask(3), ask(4)]
  expect(searches).toHaveLength(1)
  searches[0]?.fail(hung)
  expect(await first).toBe(hung)
  await settled()
  expect(searches.map(({ session }) => session)).toEqual([1, 2])
  searches[1]?.answer()
  expect(await Promise.all(joined)).toEqual([7, 7, 7])
})

test('each who joined a search is bound by a deadline of its own', async () => {
  const { searches, ask } = setUp()
  const first = ask(1)
  const short = rejection(ask(2, new Deadline(1)))
  const long = ask(3, new Deadline(60_000))
  expect(await short).toMatchObject({ code: 'OPERATION_TIMEOUT', category: 'overload' })
  searches[0]?.answer()
  expect(await Promise.all([first, long])).toEqual([7, 7])
  expect(searches).toHaveLength(1)
})

test('who comes after a search was waited for in vain searches in a session of its own', async () => {
  const { searches, ask } = setUp()
  const first = ask(1)
  await rejection(ask(2, new Deadline(1)))
  const later = ask(3)
  expect(searches.map(({ session }) => session)).toEqual([1, 3])
  searches[1]?.answer()
  expect(await later).toBe(7)
  searches[0]?.answer()
  expect(await first).toBe(7)
})

test('an abort says nothing of the search, which others go on joining', async () => {
  const { searches, ask } = setUp()
  const controller = new AbortController()
  const first = rejection(ask(1, undefined, controller.signal))
  controller.abort('gone')
  expect(await first).toBe('gone')
  const later = ask(2)
  expect(searches).toHaveLength(1)
  searches[0]?.answer()
  expect(await later).toBe(7)
})

test('a failure that is the token’s is everybody’s, and nobody searches again for it', async () => {
  const { searches, ask } = setUp()
  const failure = new Pkcs11PoolError('TOKEN_STALLED', 'all threads hang')
  const all = [ask(1), ask(2), ask(3)].map(rejection)
  searches[0]?.fail(failure)
  expect(await Promise.all(all)).toEqual([failure, failure, failure])
  expect(searches).toHaveLength(1)
})
