import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Harness, startHarness } from '../harness.js'

interface Operation {
  deprecated?: boolean
  requestBody?: { required: boolean; content: { 'application/json': { schema: { properties: object } } } }
  responses: Record<string, { content: Record<string, unknown> }>
}

const token = useSoftHsmToken()
let harness: Harness

beforeAll(async () => {
  harness = await startHarness(token)
})
afterAll(() => harness.close())

describe('without its page', () => {
  it('the service is still described', async () => {
    const quiet = await startHarness(token, { exposeSwaggerUi: false })
    const statuses = ['/docs', '/docs/start.js', '/openapi.json'].map(
      async (url) => (await quiet.app.inject({ method: 'GET', url })).statusCode,
    )
    expect(await Promise.all(statuses)).toEqual([404, 404, 200])
    await quiet.close()
  })
})

const get = (url: string) => harness.app.inject({ method: 'GET', url })

describe('GET /openapi.json', () => {
  const operations = async () => {
    const { openapi, paths } = (await harness.get('/openapi.json')).body as {
      openapi: string
      paths: Record<string, Record<string, Operation>>
    }
    expect(openapi).toBe('3.1.0')
    return Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
    )
  }

  it('describes every route of the contract, what it takes and what it answers', async () => {
    const described = (await operations()).filter(({ path }) => path.startsWith('/crypto/'))
    const success = (responses: object) => Object.keys(responses).find((status) => status.startsWith('2'))
    expect(described.map(({ path, method, operation }) => `${method} ${path} ${success(operation.responses)}`)).toEqual(
      expect.arrayContaining([
        'post /crypto/encrypt 201',
        'post /crypto/decrypt 200',
        'post /crypto/encrypt-aes-gcm 200',
        'post /crypto/decrypt-aes-gcm 200',
        'post /crypto/generate-aes-key 201',
        'post /crypto/generate-des-key 201',
        'post /crypto/generate-des3-key 201',
        'post /crypto/store-key 201',
        'put /crypto/store-key 200',
        'delete /crypto/store-key 200',
        'post /crypto/get-key 200',
        'post /crypto/get-data-keys 200',
        'post /crypto/get-all-keys 200',
        'get /crypto/health-check 200',
      ]),
    )
    const decrypt = described.find(({ path }) => path === '/crypto/decrypt')?.operation
    expect(Object.keys(decrypt?.requestBody?.content['application/json'].schema.properties ?? {})).toEqual([
      'key_label',
      'id',
      'cipher',
      'iv',
      'encryption_algorithm',
      'padding',
    ])
  })

  it('says of every route that it may answer with a problem, and of old names that they are old', async () => {
    for (const { path, operation } of await operations()) {
      expect(operation.responses.default?.content).toHaveProperty(['application/problem+json'])
      const forClients = !['/pool/stats', '/healthz', '/readyz', '/metrics'].includes(path)
      expect([path, operation.deprecated ?? false]).toEqual([path, forClients && !path.startsWith('/crypto/')])
    }
  })

  it('has a body wherever one is needed, and leaves it to the caller where not', async () => {
    for (const { path, method, operation } of await operations()) {
      const expected = method === 'get' ? undefined : !path.endsWith('/get-all-keys')
      expect([path, operation.requestBody?.required]).toEqual([path, expected])
    }
  })
})

describe('GET /docs', () => {
  it('is a page that runs and asks only what comes from this service', async () => {
    const page = await get('/docs')
    expect([page.statusCode, page.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8'])
    const policy = String(page.headers['content-security-policy'])
    expect(policy).toMatch(/^default-src 'none'; script-src 'self'; .*connect-src 'self'.*frame-ancestors 'none'$/)
    expect(policy).not.toMatch(/https?:|\*/)
    const loaded = [...page.body.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, url]) => url ?? '')
    expect(loaded.filter((url) => url !== 'data:,')).toEqual([
      '/docs/swagger-ui.css',
      '/docs/swagger-ui-bundle.js',
      '/docs/start.js',
    ])
    expect(page.body).not.toMatch(/https?:|<script>|on\w+=/)
  })

  it('finds there what it loads', async () => {
    for (const [url, type, size] of [
      ['/docs/swagger-ui.css', 'text/css', 10_000],
      ['/docs/swagger-ui-bundle.js', 'text/javascript', 100_000],
      ['/docs/start.js', 'text/javascript', 10],
    ] as const) {
      const file = await get(url)
      expect([url, file.statusCode, file.headers['content-type']]).toEqual([url, 200, `${type}; charset=utf-8`])
      expect(file.body.length).toBeGreaterThan(size)
    }
    const start = (await get('/docs/start.js')).body
    expect(start).toContain("url: '/openapi.json'")
    expect(start).toContain('validatorUrl: null')
    expect(start).not.toMatch(/https?:/)
  })

  it('gives no other file', async () => {
    for (const url of ['/docs/', '/docs/package.json', '/docs/..%2fpackage.json', '/docs/swagger-ui.js']) {
      expect((await get(url)).statusCode).toBe(404)
    }
  })
})
