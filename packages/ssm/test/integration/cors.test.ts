import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AuthHarness, startAuthHarness } from '../auth-harness.js'

const ORIGIN = 'https://console.example'
const hsm = useSoftHsmToken()
let closed: AuthHarness
let open: AuthHarness

beforeAll(async () => {
  closed = await startAuthHarness(hsm)
  open = await startAuthHarness(hsm, undefined, { config: { corsOrigins: [ORIGIN, 'http://localhost:3000'] } })
})
afterAll(async () => {
  await closed.close()
  await open.close()
})

const preflight = (harness: AuthHarness, origin: string, url = '/crypto/encrypt') =>
  harness.app.inject({
    method: 'OPTIONS',
    url,
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type',
    },
  })
const corsHeaders = (headers: object) => Object.keys(headers).filter((name) => name.startsWith('access-control-'))

describe('pages of other origins', () => {
  it('are let in by nothing unless an origin is named', async () => {
    const answer = await preflight(closed, ORIGIN)
    expect([answer.statusCode, corsHeaders(answer.headers)]).toEqual([405, []])
    const { headers } = await closed.app.inject({ url: '/healthz', headers: { origin: ORIGIN } })
    expect(corsHeaders(headers)).toEqual([])
  })

  it.each([
    'https://evil.example',
    'http://console.example',
    'https://console.example:8443',
    'https://console.example.evil.example',
    'https://evil-console.example',
    'https://CONSOLE.example',
    'https://console.example/',
    'null',
    '*',
    'https://sub.console.example',
  ])('of %s are let in by nothing where another is named', async (origin) => {
    const answer = await preflight(open, origin)
    expect([answer.statusCode, corsHeaders(answer.headers)]).toEqual([405, []])
    const { headers } = await open.app.inject({ url: '/healthz', headers: { origin } })
    expect([corsHeaders(headers), headers.vary]).toEqual([[], 'Origin'])
  })

  it.each([ORIGIN, 'http://localhost:3000'])(
    'of %s, which is named, may ask, without credentials of the browser',
    async (origin) => {
      const { statusCode, headers } = await preflight(open, origin)
      expect([statusCode, headers]).toMatchObject([
        204,
        {
          'access-control-allow-origin': origin,
          'access-control-allow-methods': 'GET, POST, PUT, DELETE',
          'access-control-allow-headers': 'authorization, content-type',
          'access-control-max-age': '600',
          vary: 'Origin',
        },
      ])
      expect(corsHeaders(headers)).not.toContain('access-control-allow-credentials')
    },
  )

  it('that are named can read what refuses them, so that they know to log in', async () => {
    for (const [url, status] of [
      ['/crypto/health-check', 401],
      ['/nothing', 404],
    ] as const) {
      const { statusCode, headers } = await open.app.inject({ url, headers: { origin: ORIGIN } })
      expect([statusCode, headers['access-control-allow-origin']]).toEqual([status, ORIGIN])
      expect(headers['access-control-expose-headers']).toContain('retry-after')
    }
  })

  it('that are named need a token like everybody', async () => {
    const token = await open.token('page', await open.add('page', 'udm'))
    const headers = { origin: ORIGIN, authorization: `Bearer ${token}` }
    expect((await open.app.inject({ url: '/crypto/health-check', headers })).statusCode).toBe(200)
  })

  it('change nothing for those without an origin: another method is 405, another path 404', async () => {
    const ask = async (method: 'OPTIONS' | 'GET', url: string) => (await open.app.inject({ method, url })).statusCode
    expect(await ask('OPTIONS', '/crypto/encrypt')).toBe(405)
    expect(await ask('OPTIONS', '/nothing')).toBe(404)
    expect(await ask('GET', '/crypto/encrypt')).toBe(405)
  })
})
