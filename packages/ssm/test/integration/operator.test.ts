import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Harness, startHarness } from '../harness.js'

const token = useSoftHsmToken({ keys: [{ label: 'KEY_ENCRYPTION_AES256' }] })
let harness: Harness

beforeAll(async () => {
  harness = await startHarness(token, {}, { pool: { maxSize: 4, minSize: 1 } })
})
afterAll(() => harness.close())

it('the pool’s figures are exactly the four that are promised, and they add up', async () => {
  const session = await harness.client.acquire()
  const { status, body } = await harness.get('/pool/stats')
  expect(status).toBe(200)
  expect(Object.keys(body)).toEqual(['max_size', 'current_size', 'available', 'in_use'])
  expect(body).toMatchObject({ max_size: 4, in_use: 1 })
  expect(body.current_size).toBe(Number(body.available) + Number(body.in_use))
  session.release()
})

it('the pool’s figures are all there are when asked verbosely', async () => {
  const { body } = await harness.get('/pool/stats?verbose')
  expect(body).toMatchObject({ max_size: 4, min_size: 1, waiting: 0, acquire_timeouts: 0, engine: { hung: 0 } })
  expect(JSON.stringify(Object.keys(body))).not.toMatch(/[A-Z]/)
})

it.each(['/crypto/health-check', '/health-check'])(
  'GET %s says exactly what the web console looks for',
  async (path) => {
    const { status, body } = await harness.get(path)
    expect([status, body]).toEqual([200, { status: 'OK', message: 'Status is ok' }])
  },
)

it('the service is alive and ready', async () => {
  expect((await harness.get('/healthz')).body).toEqual({ status: 'ok' })
  expect((await harness.get('/readyz')).body).toEqual({ status: 'ready' })
})
