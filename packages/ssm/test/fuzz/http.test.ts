import { type AddressInfo, connect } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { AuditLog } from '../../src/audit/audit-log.js'
import { AuditStore } from '../../src/audit/audit-store.js'
import { type AuthHarness, startAuthHarness } from '../auth-harness.js'
import { type FuzzedRequest, type FuzzedRoute, fuzzedRequest, rawBytes } from './request-arbitrary.js'

/** Requests in all; `npm run fuzz` sends 100,000. */
const REQUESTS = Number(process.env.FUZZ_REQUESTS ?? 300)
/** One in so many is a connection with bytes that may be no request at all. */
const RAW_SHARE = 4
const IS_LONG = REQUESTS > 1_000
const TIMEOUT_MS = IS_LONG ? 3_600_000 : 60_000
/** What the heap may grow by in the second half of a long run, in bytes. Caches and the audit's queue fill in the first. */
const GROWTH_BYTES = 8 * 1024 * 1024

/** The contract's answer to data that does not decrypt: 500, though it may be the caller's. */
const ABOUT_DATA = 'DECRYPTION_ERROR'

const token = useSoftHsmToken({ keys: [{ label: 'KEY_ENCRYPTION_AES256' }, { label: 'K4_AES' }] })
let harness: AuthHarness
let bearer: string
let routes: FuzzedRoute[]

beforeAll(async () => {
  harness = await startAuthHarness(token, async (client, store) => ({
    log: await AuditLog.open({ store: new AuditStore(store), client, chain: 'main', onFailure: () => {} }),
    failClosed: 'changes',
  }))
  await harness.app.listen({ host: '127.0.0.1', port: 0 })
  bearer = await harness.token('webconsole', await harness.add('webconsole', 'webconsole'))
  routes = routesOf((await harness.ask('GET', '/openapi.json')).body)
})
afterAll(() => harness.close())

/** Every route and the members that it takes, from the description that the service gives of itself. */
function routesOf(description: Record<string, unknown>): FuzzedRoute[] {
  const paths = description.paths as Record<
    string,
    Record<string, { requestBody?: { content?: { 'application/json'?: { schema?: { properties?: object } } } } }>
  >
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { requestBody }]) => ({
      method: method.toUpperCase() as FuzzedRequest['method'],
      path,
      members: Object.keys(requestBody?.content?.['application/json']?.schema?.properties ?? {}),
    })),
  )
}

async function send({
  method,
  path,
  contentType,
  body,
}: FuzzedRequest): Promise<{ status: number; text: string; type: string }> {
  const response = await harness.app.inject({
    method,
    url: path,
    headers: { authorization: `Bearer ${bearer}`, ...(contentType !== undefined && { 'content-type': contentType }) },
    ...(body !== undefined && { payload: body }),
  })
  return { status: response.statusCode, text: response.body, type: String(response.headers['content-type']) }
}

/** What the service sends until it, or we, have nothing more to say. */
async function exchange(bytes: Uint8Array): Promise<string> {
  const { port } = harness.app.server.address() as AddressInfo
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk) => (text += String(chunk)))
  // it may close before all has been written
  socket.on('error', () => {})
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.end(bytes)
  await closed
  return text
}

it(
  'whatever a client sends, it is answered, and by no 5xx for what is the client’s mistake',
  async () => {
    let heapAtHalf = 0
    let sent = 0
    const unexpected: string[] = []
    // whatever the answer hides is in what the operator is told
    const look = () => {
      for (const { code, message, cause } of harness.failures.splice(0)) {
        if (code !== ABOUT_DATA) unexpected.push(`${code}: ${message}: ${String(cause)}`)
      }
    }
    const raw = Math.floor(REQUESTS / RAW_SHARE)
    const requests = fc.asyncProperty(fuzzedRequest(routes), async (request) => {
      const { status, text, type } = await send(request)
      look()
      if (++sent === Math.floor((REQUESTS - raw) / 2)) heapAtHalf = heapUsed()
      const problem = type.startsWith('application/problem+json')
        ? (JSON.parse(text) as { error: string; status: number })
        : undefined
      if (status >= 400) expect(problem?.status).toBe(status)
      if (status >= 500) expect(problem?.error).toBe(ABOUT_DATA)
      for (const secret of ['node_modules', '/src/', '.sqlite', token.pin]) expect(text).not.toContain(secret)
    })
    await fc.assert(requests, { numRuns: REQUESTS - raw, endOnFailure: IS_LONG })

    const connections = fc.asyncProperty(rawBytes, async (bytes) => {
      expect(await exchange(bytes)).not.toMatch(/^HTTP\/1\.1 5/m)
    })
    await fc.assert(connections, { numRuns: raw, endOnFailure: IS_LONG })

    look()
    expect(unexpected).toEqual([])
    if (IS_LONG) expect(heapUsed() - heapAtHalf).toBeLessThan(GROWTH_BYTES)
    expect((await harness.ask('GET', '/crypto/health-check', bearer)).body).toEqual({
      status: 'OK',
      message: 'Status is ok',
    })
    expect((await harness.ask('GET', '/readyz')).body).toEqual({ status: 'ready' })
  },
  TIMEOUT_MS,
)

/** After what is garbage has been collected. */
function heapUsed(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  return process.memoryUsage().heapUsed
}
