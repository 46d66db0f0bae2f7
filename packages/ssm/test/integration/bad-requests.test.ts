import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { expectProblem, type Harness, startHarness } from '../harness.js'

const token = useSoftHsmToken({ keys: [{ label: 'KEY_ENCRYPTION_AES256' }] })
let harness: Harness

beforeAll(async () => {
  harness = await startHarness(token, { legacyAlgorithms: true })
})
afterAll(() => harness.close())

/** What a member of a request is: `?` may be left out. */
type Kind = 'label' | 'id' | 'integer' | 'text' | 'hex' | 'array' | 'id?' | 'hex?' | 'text?'
type Method = 'POST' | 'PUT' | 'DELETE'

interface Route {
  paths: string[]
  methods?: Method[]
  members: Record<string, Kind>
  good: Record<string, unknown>
}

const LABEL = { key_label: 'KEY_ENCRYPTION_AES256' }
const both = (name: string) => [`/crypto/${name}`, `/${name}`]
const storage = { members: { key_label: 'label', id: 'id', key_value: 'hex', key_type: 'text' } } as const
const stored = { key_label: 'K4_AES', id: 1, key_value: '00'.repeat(16), key_type: 'AES' }
const ROUTES: Route[] = [
  {
    paths: ['/crypto/encrypt', '/encrypt-pool', '/encrypt'],
    members: { key_label: 'label', plain: 'hex', encryption_algorithm: 'integer' },
    good: { ...LABEL, plain: '00', encryption_algorithm: 5 },
  },
  {
    paths: both('decrypt'),
    members: {
      key_label: 'label',
      id: 'id',
      cipher: 'hex',
      encryption_algorithm: 'integer',
      iv: 'hex?',
      padding: 'text?',
    },
    good: { ...LABEL, id: 1, cipher: '00'.repeat(16), iv: '', encryption_algorithm: 5 },
  },
  {
    paths: both('encrypt-aes-gcm'),
    members: { key_label: 'label', plain: 'hex', aad: 'hex?' },
    good: { ...LABEL, plain: '00', aad: '' },
  },
  {
    paths: both('decrypt-aes-gcm'),
    members: { key_label: 'label', cipher: 'hex', iv: 'hex', tag: 'hex', id: 'id?', aad: 'hex?' },
    good: { ...LABEL, id: 1, cipher: '', iv: '00'.repeat(12), tag: '00'.repeat(16), aad: '' },
  },
  { paths: both('generate-aes-key'), members: { id: 'id', bits: 'integer' }, good: { id: 1, bits: 256 } },
  { paths: both('generate-des-key'), members: { id: 'id' }, good: { id: 1 } },
  { paths: both('generate-des3-key'), members: { id: 'id' }, good: { id: 1 } },
  { paths: both('store-key'), methods: ['POST', 'PUT'], ...storage, good: stored },
  {
    paths: both('store-key'),
    methods: ['DELETE'],
    members: { key_label: 'label', id: 'id' },
    good: { key_label: 'none', id: 1 },
  },
  { paths: both('get-key'), members: { key_label: 'label', id: 'id' }, good: { ...LABEL, id: 1 } },
  { paths: both('get-data-keys'), members: { key_label: 'label' }, good: LABEL },
  { paths: both('get-all-keys'), members: {}, good: {} },
  { paths: both('batch'), members: { operations: 'array' }, good: { operations: [{}] } },
]
const GETS = ['/crypto/health-check', '/health-check', '/healthz', '/readyz', '/pool/stats', '/metrics']
const SECRET = 'deadbeefdeadbeef'
const CASES = ROUTES.flatMap(({ paths, methods = ['POST'], ...route }) =>
  paths.flatMap((path) => methods.map((method) => ({ ...route, path, method }))),
)

const EXPECTED = {
  label: 'a text',
  text: 'a text',
  hex: 'a text',
  id: 'an integer',
  integer: 'an integer',
  array: 'an array',
} as const
const kindOf = (kind: Kind) => kind.replace('?', '') as keyof typeof EXPECTED

it('every route that is described is tried here, and no other', async () => {
  const { paths } = (await harness.get('/openapi.json')).body as { paths: Record<string, object> }
  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )
  const tried = [...CASES.map(({ method, path }) => `${method} ${path}`), ...GETS.map((path) => `GET ${path}`)]
  expect(described.sort()).toEqual(tried.sort())
})

describe.each(CASES)('$method $path', ({ path, method, members, good }) => {
  const send = (body: unknown) => harness.send(method, path, body)
  const named = (wanted: (kind: Kind) => boolean) =>
    Object.entries(members)
      .filter(([, kind]) => wanted(kind))
      .map(([name]) => name)

  it('takes a request as the contract has it', async () => {
    const answer = await send(good)
    expect(answer.body.error ?? '').not.toMatch(/^(VALIDATION_FAILED|INVALID_|UNSUPPORTED_|NOT_FOUND|METHOD_)/)
  })

  it('refuses a request without one of its members, naming it', async () => {
    for (const name of named((kind) => !kind.endsWith('?'))) {
      const answer = await send({ ...good, [name]: undefined })
      expectProblem(answer, 400, 'VALIDATION_FAILED', path)
      expect(answer.body.detail).toBe(`${name} is missing`)
    }
  })

  it('refuses a member of every wrong type, naming member, got and expected, never a text that was sent', async () => {
    for (const [name, kind] of Object.entries(members)) {
      const expected = EXPECTED[kindOf(kind)]
      const wrongs = [null, true, {}, 1.5, expected === 'an array' ? 5 : [], expected === 'a text' ? 5 : SECRET]
      for (const wrong of wrongs) {
        const answer = await send({ ...good, [name]: wrong })
        expectProblem(answer, 400, 'VALIDATION_FAILED', path)
        expect(answer.body.detail).toMatch(new RegExp(`^${name}: got .*, expected ${expected}$`))
        expect(answer.text).not.toContain(SECRET)
      }
    }
  })

  it('refuses an id that clients cannot hold', async () => {
    for (const name of named((kind) => kindOf(kind) === 'id')) {
      for (const id of [-1, 0x8000_0000, 1e300]) {
        const answer = await send({ ...good, [name]: id })
        expectProblem(answer, 400, 'VALIDATION_FAILED', path)
        expect(answer.body.detail).toBe(`${name}: got ${id}, expected an integer from 0 to 2147483647`)
      }
    }
  })

  it('refuses a label that is empty, too long, or seems to end before it does', async () => {
    for (const name of named((kind) => kind === 'label')) {
      for (const [label, expected] of [
        ['', /got a text of 0 characters, expected at least 1$/],
        ['k'.repeat(256), /got a text of 256 characters, expected at most 255$/],
        ['SSM_ENC_KEY\0', /got a text with a NUL in it, or half of a surrogate pair, expected one without$/],
        ['K4_AES\ud800', /or half of a surrogate pair, expected one without$/],
        ['\udc00K4_AES', /or half of a surrogate pair, expected one without$/],
      ] as const) {
        const answer = await send({ ...good, [name]: label })
        expectProblem(answer, 400, 'VALIDATION_FAILED', path)
        expect(answer.body.detail).toMatch(expected)
      }
    }
  })

  it('refuses the labels of the service’s own keys', async () => {
    const stores = path.endsWith('store-key') && method !== 'DELETE'
    for (const name of named((kind) => kind === 'label')) {
      for (const label of ['SSM_ENC_KEY', 'ENCRYPTION_KEY_INTERNAL_AES256', 'JWT_SIGNING_KEY', 'AUDIT_SIGNING_KEY']) {
        const answer = await send({ ...good, [name]: label })
        expectProblem(answer, 400, stores ? 'UNSUPPORTED_KEY_TYPE' : 'VALIDATION_FAILED', path)
      }
    }
  })

  it('answers INVALID_HEX to a member that is no hex', async () => {
    for (const name of named((kind) => kindOf(kind) === 'hex')) {
      for (const wrong of ['0', 'xx', '0x00', ' 00', '\u0130\u0130']) {
        const answer = await send({ ...good, [name]: wrong })
        expectProblem(answer, 400, 'INVALID_HEX', path)
        expect(answer.body.detail).toMatch(new RegExp(`^${name}: `))
      }
    }
  })

  it('refuses a member it does not know, naming the nearest it knows', async () => {
    const [first] = Object.keys(members)
    const misspelt = `${first}s`
    const answer = await send({ ...good, [misspelt]: 1 })
    expectProblem(answer, 400, 'VALIDATION_FAILED', path)
    if (first === undefined) return
    const said = new RegExp(`^"${misspelt}" is no member of this request, .*; did you mean ${first}\\?$`)
    expect(answer.body.detail).toMatch(said)
    const renamed = await send({ ...good, [first]: undefined, [misspelt]: 1 })
    expect(renamed.body.detail).toMatch(said)
  })

  it.each(['[]', '"text"', '5', 'true'])('refuses the body %s, which is no object', async (body) => {
    const answer = await send(body)
    expectProblem(answer, 400, 'VALIDATION_FAILED', path)
    expect(answer.body.detail).toMatch(/^the body: got .*, expected a JSON object$/)
  })

  it.each(['{', '{"id":', `{"plain":"${SECRET}"`, '{"__proto__":{"id":1}}', '{"constructor":{"prototype":{}}}'])(
    'refuses the body %j, which is no JSON',
    async (body) => {
      const answer = await send(body)
      expectProblem(answer, 400, 'INVALID_JSON', path)
      expect(answer.text).not.toContain(SECRET)
    },
  )

  it('refuses a missing body, unless it needs none', async () => {
    if (path.endsWith('/get-all-keys')) return
    expectProblem(await send(''), 400, 'INVALID_JSON', path)
    expectProblem(await send('null'), 400, 'VALIDATION_FAILED', path)
    expectProblem(await send(undefined), 400, 'VALIDATION_FAILED', path)
  })

  it('refuses every other content type, and none', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/xml']) {
      const headers = { 'content-type': type }
      const { statusCode, body } = await harness.app.inject({ method, url: path, headers, payload: '{}' })
      expect([statusCode, JSON.parse(body)]).toMatchObject([415, { error: 'UNSUPPORTED_MEDIA_TYPE', instance: path }])
    }
    const { statusCode } = await harness.app.inject({ method, url: path, payload: Buffer.from('{}') })
    expect(statusCode).toBe(415)
  })

  it('refuses a body that is too large', async () => {
    expectProblem(await send({ ...good, more: 'x'.repeat(1024 * 1024) }), 413, 'PAYLOAD_TOO_LARGE', path)
  })

  it('answers another method with 405 and says which there are', async () => {
    const known = path.endsWith('/store-key') ? ['POST', 'PUT', 'DELETE'] : ['POST']
    for (const other of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD'] as const) {
      if (known.includes(other)) continue
      const response = await harness.app.inject({ method: other, url: `${path}?x=1` })
      expect([response.statusCode, response.headers.allow]).toEqual([405, known.join(', ')])
      if (other !== 'HEAD')
        expect(JSON.parse(response.body)).toMatchObject({ error: 'METHOD_NOT_ALLOWED', instance: path })
    }
  })
})

it.each(GETS)('GET %s answers every other method with 405', async (path) => {
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'] as const) {
    const response = await harness.app.inject({ method, url: path })
    expect([response.statusCode, response.headers.allow]).toEqual([405, 'GET, HEAD'])
    expect(JSON.parse(response.body)).toMatchObject({ error: 'METHOD_NOT_ALLOWED', instance: path })
  }
})

describe('a request', () => {
  it('for a path that is not there is answered 404, whatever its body', async () => {
    for (const path of ['/', '/nope', '/crypto', '/crypto/encrypt/', '/crypto/Encrypt']) {
      expectProblem(await harness.get(path), 404, 'NOT_FOUND', path)
      expectProblem(await harness.post(path, '{'), 404, 'NOT_FOUND', path)
    }
  })

  it('for a path that is no valid encoding is answered 404', async () => {
    expectProblem(await harness.get('/%zz'), 404, 'NOT_FOUND', '/%zz')
  })

  it.each([
    'evil.example',
    'evil.example:8080',
    '192.168.1.1',
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    '[::2]:80',
  ])('that names the host %j is refused, as a rebound DNS name would be', async (host) => {
    for (const url of ['/pool/stats', '/nope']) {
      const response = await harness.app.inject({ method: 'GET', url, headers: { host } })
      expect([response.statusCode, JSON.parse(response.body)]).toMatchObject([
        403,
        { error: 'FORBIDDEN', instance: url },
      ])
    }
  })

  it.each(['localhost', 'LOCALHOST:8080', '127.0.0.1:9', '127.8.8.8', '[::1]:8080', '[::1]'])(
    'that names the host %s is served',
    async (host) => {
      const response = await harness.app.inject({ method: 'GET', url: '/healthz', headers: { host } })
      expect(response.statusCode).toBe(200)
    },
  )

  it('that is refused is no matter for the operator', () => {
    expect(harness.failures).toEqual([])
  })
})
