import { type AddressInfo, connect } from 'node:net'
import fc from 'fast-check'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { AuditLog } from '../../src/audit/audit-log.js'
import { AuditStore } from '../../src/audit/audit-store.js'
import { type AuthHarness, startAuthHarness } from '../auth-harness.js'
import { MemorySlope } from './memory-slope.js'
import { type FuzzedRequest, type FuzzedRoute, fuzzedRequest, rawBytes } from './request-arbitrary.js'

/** Requests in all; `npm run fuzz` sends 100,000. */
const REQUESTS = Number(process.env.FUZZ_REQUESTS ?? 300)
/** One in so many is a connection with bytes that may be no request at all. */
const RAW_SHARE = 4
const IS_LONG = REQUESTS > 1_000
const TIMEOUT_MS = IS_LONG ? 3_600_000 : 60_000
/** Looks at the memory in each of the two parts of a long run. */
const SAMPLES = 20
/** What the heap may grow by in a thousand requests of a long run: a request that leaves a small object behind leaves more. */
const HEAP_SLOPE_BYTES = 20 * 1024

/** The contract's answer to data that does not decrypt: 500, though it may be the caller's. */
const ABOUT_DATA = 'DECRYPTION_ERROR'

const token = useSoftHsmToken({ keys: [{ label: 'KEY_ENCRYPTION_AES256' }, { label: 'K4_AES' }] })
let harness: AuthHarness
let bearer: string
let routes: FuzzedRoute[]

beforeAll(async () => {
  harness = await startAuthHarness(token, async (client, store, kept) => ({
    log: await AuditLog.open({ store: new AuditStore(store), client, kept, chain: 'main', onFailure: () => {} }),
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
    const answers: Record<number, number> = {}
    const unexpected: string[] = []
    // whatever the answer hides is in what the operator is told
    const look = () => {
      for (const { code, message, cause } of harness.failures.splice(0)) {
        if (code !== ABOUT_DATA) unexpected.push(`${code}: ${message}: ${String(cause)}`)
      }
    }
    const raw = Math.floor(REQUESTS / RAW_SHARE)
    const whole = REQUESTS - raw
    const slopes = { requests: new MemorySlope(), connections: new MemorySlope() }
    const count = (part: keyof typeof slopes, sent: number, all: number) => {
      if (IS_LONG && sent % Math.floor(all / SAMPLES) === 0) slopes[part].sample(sent)
    }
    let sent = 0
    const requests = fc.asyncProperty(fuzzedRequest(routes), async (request) => {
      const { status, text, type } = await send(request)
      look()
      answers[status] = (answers[status] ?? 0) + 1
      count('requests', ++sent, whole)
      const problem = type.startsWith('application/problem+json')
        ? (JSON.parse(text) as { error: string; status: number })
        : undefined
      if (status >= 400) expect(problem?.status).toBe(status)
      if (status >= 500) expect(problem?.error).toBe(ABOUT_DATA)
      for (const secret of ['node_modules', '/src/', '.sqlite', token.pin]) expect(text).not.toContain(secret)
    })
    await fc.assert(requests, { numRuns: whole, endOnFailure: IS_LONG })

    let connected = 0
    const connections = fc.asyncProperty(rawBytes, async (bytes) => {
      expect(await exchange(bytes)).not.toMatch(/^HTTP\/1\.1 5/m)
      count('connections', ++connected, raw)
    })
    await fc.assert(connections, { numRuns: raw, endOnFailure: IS_LONG })

    look()
    if (IS_LONG) {
      process.stdout.write(`answers by status: ${JSON.stringify(answers)}\n`)
      for (const [part, memory] of Object.entries(slopes)) {
        process.stdout.write(`${part}: ${String(memory)}\n`)
        expect(memory.slope.heap).toBeLessThan(HEAP_SLOPE_BYTES)
      }
    }
    expect(unexpected).toEqual([])
    expect((await harness.ask('GET', '/crypto/health-check', bearer)).body).toEqual({
      status: 'OK',
      message: 'Status is ok',
    })
    expect((await harness.ask('GET', '/readyz')).body).toEqual({ status: 'ready' })
  },
  TIMEOUT_MS,
)
