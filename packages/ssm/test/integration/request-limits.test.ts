import { once } from 'node:events'
import { connect } from 'node:net'
import { createWrappedModule } from 'testkit'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DEFAULT_LIMITS } from '../../src/config/request-limits.js'
import { type AuthHarness, startAuthHarness } from '../auth-harness.js'
import { listen } from '../connections.js'
import { startHarness } from '../harness.js'

const hsm = useSoftHsmToken({ keys: [{ label: 'KEY_ENCRYPTION_AES256' }] })

/** Looks again with each turn of the loop until something is so; the test's own time limit is the limit. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve))
}

describe('requests beyond the rate', () => {
  let harness: AuthHarness

  beforeAll(async () => {
    // one more a minute: none while a test runs
    harness = await startAuthHarness(hsm, undefined, {
      config: { rateLimit: { requestsPerMin: 1, burstSize: 8 } },
    })
  })
  afterAll(() => harness.close())

  it('for what is not there are answered 429 by address', async () => {
    const ask = (method: 'GET' | 'PUT', url: string) =>
      harness.app.inject({ method, url, remoteAddress: '198.51.100.7' }).then(({ statusCode }) => statusCode)
    const statuses: number[] = []
    for (let asked = 0; asked < 5; asked++)
      statuses.push(await ask('GET', '/nothing'), await ask('PUT', '/crypto/encrypt'))
    expect(statuses).toEqual([404, 405, 404, 405, 404, 405, 404, 405, 429, 429])
  })

  it('of an account are answered 429, from wherever they come, and nobody else’s', async () => {
    const [busy, other] = [
      await harness.token('busy', await harness.add('busy', 'udm')),
      await harness.token('other', await harness.add('other', 'udm')),
    ]
    const ask = (token: string, remoteAddress: string) =>
      harness.app.inject({
        url: '/crypto/health-check',
        remoteAddress,
        headers: { authorization: `Bearer ${token}` },
      })
    const answers = []
    for (let made = 0; made < 9; made++) answers.push(await ask(busy, `10.0.0.${made}`))
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([...Array<number>(8).fill(200), 429])
    expect(answers.map(({ headers }) => headers['ratelimit-remaining'])).toEqual([
      '7',
      '6',
      '5',
      '4',
      '3',
      '2',
      '1',
      '0',
      '0',
    ])
    const refused = answers.at(-1)
    expect(refused?.json()).toMatchObject({ error: 'RATE_LIMITED', status: 429, instance: '/crypto/health-check' })
    expect(refused?.headers).toMatchObject({
      'content-type': 'application/problem+json; charset=utf-8',
      'ratelimit-limit': '8',
      'ratelimit-reset': expect.stringMatching(/^4\d\d$/),
      'retry-after': expect.stringMatching(/^[1-6]\d$/),
    })
    // also from the same address
    expect((await ask(other, '10.0.0.8')).statusCode).toBe(200)
  })

  it('without an account are answered 429 by address, and do not take the share of accounts there', async () => {
    const token = await harness.token('quiet', await harness.add('quiet', 'udm'))
    const ask = (authorization: string, remoteAddress = '10.9.9.9') =>
      harness.app.inject({ url: '/crypto/health-check', remoteAddress, headers: { authorization } })
    const statuses = []
    for (let made = 0; made < 9; made++) statuses.push((await ask('Bearer a.b.c')).statusCode)
    expect(statuses).toEqual([...Array<number>(8).fill(401), 429])
    expect((await ask('Bearer a.b.c', '10.9.9.8')).statusCode).toBe(401)
    expect((await ask(`Bearer ${token}`)).statusCode).toBe(200)
    const open = (url: string) => harness.app.inject({ url, remoteAddress: '10.9.9.9' })
    expect((await open('/openapi.json')).statusCode).toBe(429)
    const login = { method: 'POST', url: '/login', remoteAddress: '10.9.9.9' } as const
    expect((await harness.app.inject({ ...login, payload: { service_id: 'x', password: 'y' } })).statusCode).toBe(429)
  })

  it('are answered where they are the operator’s probes: else anybody could have an instance taken out', async () => {
    for (let made = 0; made < 20; made++) {
      for (const url of ['/healthz', '/readyz']) {
        expect((await harness.app.inject({ url, remoteAddress: '10.8.8.8' })).statusCode).toBe(200)
      }
    }
  })
})

describe('requests that each open a session of their own', () => {
  it('are answered 503 at once where 32 are under way: nothing else bounds those sessions', async () => {
    const wrapped = createWrappedModule(hsm)
    const harness = await startHarness({ module: wrapped.module, label: hsm.label, pinFile: hsm.pinFile })
    const body = { key_label: 'KEY_ENCRYPTION_AES256', plain: '00', encryption_algorithm: 5 }
    wrapped.hang('C_Encrypt')
    const asked = Array.from({ length: 33 }, () => harness.post('/encrypt', body))
    const refused = await Promise.race(asked)
    expect(refused.body).toMatchObject({ status: 503, error: 'POOL_EXHAUSTED' })
    expect(refused.body.detail).toMatch(/^timeout waiting for available connection/)
    expect(refused.headers['retry-after']).toBe('1')
    wrapped.release()
    const statuses = (await Promise.all(asked)).map(({ status }) => status)
    expect(statuses.filter((status) => status === 201)).toHaveLength(32)
    expect((await harness.post('/encrypt', body)).status).toBe(201)
    await harness.close()
    wrapped.remove()
  })
})

describe('requests beyond those that may wait', () => {
  it('are not those whose bodies have not come: whoever sends none would keep everybody out', async () => {
    const limits = { ...DEFAULT_LIMITS, maxRequestsWaiting: 3 }
    const harness = await startAuthHarness(hsm, undefined, { config: { limits } })
    const token = await harness.token('udm', await harness.add('udm', 'udm'))
    const port = await listen(harness.app)
    const slow = Array.from({ length: 4 }, () => connect(port, '127.0.0.1'))
    const head = 'POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
    for (const socket of slow) socket.write(`${head}Content-Length: 99\r\nExpect: 100-continue\r\n\r\n`)
    // that the server says so shows that the request is being served
    for (const [said] of await Promise.all(slow.map((socket) => once(socket, 'data'))))
      expect(String(said)).toMatch(/^HTTP\/1.1 100 /)
    expect((await harness.ask('GET', '/crypto/health-check', token)).status).toBe(200)
    for (const socket of slow) socket.destroy()
    await harness.close()
  })

  it('hold little memory before anybody is known: a body to log in with is small', async () => {
    const harness = await startAuthHarness(hsm)
    const body = { service_id: 'udm', password: 'x'.repeat(16 * 1024) }
    const refused = await harness.ask('POST', '/login', undefined, body)
    expect(refused.body).toMatchObject({ error: 'PAYLOAD_TOO_LARGE', detail: expect.stringContaining('16 KiB') })
    await harness.close()
  })

  it('are answered 503 at once, until one of those under way is done, or its client has gone', async () => {
    const wrapped = createWrappedModule(hsm)
    const harness = await startHarness(
      { ...hsm, module: wrapped.module, label: hsm.label, pinFile: hsm.pinFile },
      { limits: { ...DEFAULT_LIMITS, maxRequestsWaiting: 3 } },
    )
    const port = await listen(harness.app)
    const body = { key_label: 'KEY_ENCRYPTION_AES256', plain: '00', encryption_algorithm: 5 }
    const encrypt = () => harness.post('/crypto/encrypt', body)
    expect((await encrypt()).status).toBe(201)

    wrapped.hang('C_Encrypt')
    const waiting = encrypt()
    const leaving = connect(port, '127.0.0.1')
    const text = JSON.stringify(body)
    const one = `POST /crypto/encrypt HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n${text}`
    // two behind each other: only the first of them hears that the client has gone
    leaving.write(one + one)
    await until(() => wrapped.hanging() === 3)
    const refused = await encrypt()
    expect(refused.body).toMatchObject({ status: 503, error: 'POOL_EXHAUSTED' })
    expect(refused.body.detail).toMatch(/^timeout waiting for available connection/)
    expect(refused.headers['retry-after']).toBe('1')
    for (const url of ['/healthz', '/readyz', '/pool/stats']) expect((await harness.get(url)).status).toBe(200)

    leaving.destroy()
    await once(leaving, 'close')
    const health = async () => (await harness.get('/crypto/health-check')).status
    while ((await health()) !== 200) await new Promise((resolve) => setImmediate(resolve))
    const next = encrypt()
    await until(() => wrapped.hanging() === 4)
    expect(await health()).toBe(200)
    wrapped.release()
    expect([(await waiting).status, (await next).status]).toEqual([201, 201])
    expect([await health(), (await encrypt()).status]).toEqual([200, 201])
    await harness.close()
    wrapped.remove()
  })
})
