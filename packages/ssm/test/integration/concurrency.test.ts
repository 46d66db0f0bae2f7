import { randomBytes } from 'node:crypto'
import { createWrappedModule, type WrappedModule } from 'testkit'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { startHarness } from '../harness.js'

const token = useSoftHsmToken({ keys: [{ label: 'KEY_ENCRYPTION_AES256', count: 3 }] })
const request = { key_label: 'KEY_ENCRYPTION_AES256', encryption_algorithm: 5 }
const ROUND_TRIPS = 300
let wrapped: WrappedModule

beforeAll(() => {
  wrapped = createWrappedModule(token)
})
afterAll(() => wrapped.remove())

const start = async (keyCache: boolean) => {
  const harness = await startHarness({ ...token, module: wrapped.module }, { keyCache }, { connect: 'lazy' })
  onTestFinished(() => harness.close())
  return harness
}

describe('many requests at once', () => {
  it.each([true, false])(
    'are each answered with their own data, on no more sessions than the pool has (keys cached: %s)',
    async (keyCache) => {
      const harness = await start(keyCache)
      const plains = Array.from({ length: ROUND_TRIPS }, () => randomBytes(20).toString('hex'))
      const back = await Promise.all(
        plains.map(async (plain) => {
          const { cipher, iv, id } = (await harness.post('/crypto/encrypt', { ...request, plain })).body
          return (await harness.post('/crypto/decrypt', { ...request, cipher, iv, id })).body
        }),
      )
      expect(back).toEqual(plains.map((plain) => ({ plain })))
      const { body } = await harness.get('/pool/stats')
      expect(body).toMatchObject({ max_size: 10, in_use: 0 })
      expect(Number(body.current_size)).toBeLessThanOrEqual(10)
      expect(harness.failures).toEqual([])
    },
  )
})

describe('POST /encrypt', () => {
  it('opens a session, logs in and closes it for each request, and leaves none behind', async () => {
    const harness = await start(true)
    const counted = ['C_OpenSession', 'C_Login', 'C_CloseSession'] as const
    const before = counted.map((name) => wrapped.calls(name))
    for (let round = 0; round < 3; round++) {
      expect((await harness.post('/encrypt', { ...request, plain: 'c0ffee' })).status).toBe(201)
      expect(wrapped.openSessions()).toBe(0)
    }
    expect(counted.map((name, index) => wrapped.calls(name) - (before[index] ?? 0))).toEqual([3, 3, 3])
    expect((await harness.get('/pool/stats')).body).toMatchObject({ current_size: 0 })
  })

  it('serves many at once, each on a session of its own', async () => {
    const harness = await start(true)
    const before = wrapped.calls('C_OpenSession')
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => harness.post('/encrypt', { ...request, plain: 'c0ffee' })),
    )
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 201))
    expect(wrapped.calls('C_OpenSession') - before).toBe(20)
    expect(wrapped.openSessions()).toBe(0)
  })
})
