import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { createChaos } from 'pkcs11-chaos'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type ClientOptions, createClient, Pkcs11PoolError } from '../../src/index.js'

const token = useSoftHsmToken()
const chaos = createChaos({ module: token.module })
const hash = createHash('sha256').update('data').digest()
const key = { label: 'each use', class: 'CKO_PRIVATE_KEY' } as const
let runs = 0

const open = (options: Partial<ClientOptions>) =>
  createClient({ module: chaos.modulePath, token: { label: token.label }, pin: { value: token.pin }, ...options })

beforeAll(async () => {
  const client = await open({})
  const common = { CKA_LABEL: key.label, CKA_TOKEN: true } as const
  await client.keys.generatePair(
    'CKM_EC_KEY_PAIR_GEN',
    { ...common, CKA_EC_PARAMS: Buffer.from('06082a8648ce3d030107', 'hex'), CKA_VERIFY: true },
    { ...common, CKA_PRIVATE: true, CKA_SENSITIVE: true, CKA_SIGN: true, CKA_ALWAYS_AUTHENTICATE: true },
  )
  await client.close()
})
afterAll(() => chaos.close())

/** On a busy machine the module may not be loaded in so short a time; nothing was sent then. */
function outOfTime(error: unknown): undefined {
  if (!(error instanceof Pkcs11PoolError && error.code === 'OPERATION_TIMEOUT')) throw error
}

/** Of three PINs the first is right. */
const which = fc.nat(2)
const verb = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('set' as const), which }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('use' as const), aborted: fc.boolean(), awaited: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('hang' as const, 'release' as const, 'logOut' as const) }) },
)

test('whatever is done, no PIN is rejected twice', async () => {
  const property = fc.asyncProperty(which, fc.array(verb, { maxLength: 14 }), async (first, verbs) => {
    runs += 1
    const pins = [token.pin, `wrong ${runs}`, `another ${runs}`].map((value) => ({ value }))
    await chaos.resetCounters()
    const client = await open({
      connect: 'lazy',
      pin: pins[first],
      pool: { createTimeoutMs: 100, acquireTimeoutMs: 150, operationTimeoutMs: 100 },
      breaker: { failureThreshold: 1_000, initialBackoffMs: 1, maxBackoffMs: 2 },
    }).catch(outOfTime)
    if (client === undefined) return
    const uses: Promise<unknown>[] = []
    for (const each of verbs) {
      if (each.do === 'set')
        await client.setCredentials({ pin: pins[each.which] as { value: string } }).catch(() => undefined)
      if (each.do === 'hang') await chaos.rules.add({ on: 'C_Login', hang: true, times: 1 })
      if (each.do === 'release') await chaos.rules.clear()
      if (each.do === 'logOut') await chaos.logOut().catch(() => undefined)
      if (each.do === 'use') {
        const aborted = new AbortController()
        const use = client.sign(key, 'CKM_ECDSA', hash, { signal: aborted.signal }).catch(() => undefined)
        uses.push(use)
        if (each.aborted) setImmediate(() => aborted.abort())
        if (each.awaited) await use
      }
    }
    await chaos.rules.clear()
    await Promise.all(uses)
    // A login that was given up may be rejected still, and would count for the next run.
    await vi.waitFor(() => expect(client.stats().engine).toMatchObject({ running: 0, hung: 0 }), {
      timeout: 30_000,
      interval: 5,
    })
    await client.close()
    const { rejected } = (await chaos.counters()).logins
    // SoftHSM ends what was begun before the PIN was rejected with the session alone.
    const misuse = (await chaos.misuse()).filter(({ kind }) => kind !== 'closed-active')
    if (rejected > 2 || misuse.length > 0) throw new Error(`${rejected} rejected; ${JSON.stringify(misuse)}`)
  })
  await fc.assert(property, { numRuns: 60 })
})
