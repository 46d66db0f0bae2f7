import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AuthHarness, startAuthHarness } from '../auth-harness.js'

const hsm = useSoftHsmToken()
let harness: AuthHarness
let udm: string
let routes: { method: 'GET' | 'POST' | 'PUT' | 'DELETE'; url: string }[]

/** What needs no token, and what a batch's operations decide. */
const OPEN = new Set(['/healthz', '/readyz', '/pool/stats', '/metrics', '/login', '/.well-known/jwks.json'])
const EACH = new Set(['/crypto/batch', '/batch'])
/** What the contract lets a UDM do. */
const UDM = new Set(['decrypt', 'decrypt-aes-gcm', 'health-check'].flatMap((name) => [`/crypto/${name}`, `/${name}`]))

beforeAll(async () => {
  harness = await startAuthHarness(hsm)
  udm = await harness.token('udm', await harness.add('udm', 'udm'))
  const { body } = await harness.ask('GET', '/openapi.json')
  routes = Object.entries(body.paths as Record<string, object>).flatMap(([url, methods]) =>
    Object.keys(methods).map((method) => ({ method: method.toUpperCase() as 'GET', url })),
  )
})
afterAll(() => harness.close())

describe('every route that is described', () => {
  it('is closed without a token, and with one that is none, unless it is for everybody', async () => {
    const closed = routes.filter(({ url }) => !OPEN.has(url))
    expect(closed.length).toBeGreaterThan(20)
    for (const route of closed) {
      for (const authorization of [undefined, 'Bearer a.b.c', 'Basic dWRtOng=']) {
        const headers = authorization === undefined ? {} : { authorization }
        const { statusCode } = await harness.app.inject({ ...route, headers })
        expect([route, authorization, statusCode]).toEqual([route, authorization, 401])
      }
    }
  })

  it('is closed to a UDM where the contract does not open it, by every name it has', async () => {
    for (const route of routes.filter(({ url }) => !OPEN.has(url) && !EACH.has(url))) {
      const { statusCode } = await harness.app.inject({ ...route, headers: { authorization: `Bearer ${udm}` } })
      if (UDM.has(route.url)) expect([route, [200, 400].includes(statusCode)]).toEqual([route, true])
      else expect([route, statusCode]).toEqual([route, 403])
    }
  })
})
