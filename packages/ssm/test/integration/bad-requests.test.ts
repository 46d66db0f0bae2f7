import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { expectProblem, type Harness, startHarness } from '../harness.js'

const token = useSoftHsmToken({ keys: [{ label: 'KEY_ENCRYPTION_AES256' }] })
let harness: Harness

beforeAll(async () => {
  harness = await startHarness(token)
})
afterAll(() => harness.close())

const encryption = { key_label: 'KEY_ENCRYPTION_AES256', plain: '00', encryption_algorithm: 5 }
const decryption = { key_label: 'KEY_ENCRYPTION_AES256', id: 1, cipher: '00', iv: '', encryption_algorithm: 5 }
const generation = { id: 1, bits: 256 }
const ROUTES = [
  { path: '/crypto/encrypt', good: encryption, required: ['key_label', 'plain', 'encryption_algorithm'] },
  { path: '/encrypt-pool', good: encryption, required: ['key_label', 'plain', 'encryption_algorithm'] },
  { path: '/encrypt', good: encryption, required: ['key_label', 'plain', 'encryption_algorithm'] },
  { path: '/crypto/decrypt', good: decryption, required: ['key_label', 'id', 'cipher', 'encryption_algorithm'] },
  { path: '/crypto/generate-aes-key', good: generation, required: ['id', 'bits'] },
]
const SECRET = 'deadbeefdeadbeef'

describe.each(ROUTES)('POST $path', ({ path, good, required }) => {
  it('refuses a request without one of its members, naming it', async () => {
    for (const name of required) {
      const answer = await harness.post(path, { ...good, [name]: undefined })
      expectProblem(answer, 400, 'VALIDATION_FAILED', path)
      expect(answer.body.detail).toBe(`${name} is missing`)
    }
  })

  it('refuses a member of every wrong type, naming member, got and expected, never a text that was sent', async () => {
    for (const name of Object.keys(good)) {
      for (const wrong of [
        null,
        true,
        [],
        {},
        name in { key_label: 1, plain: 1, cipher: 1, iv: 1 } ? 5 : SECRET,
        1.5,
      ]) {
        const answer = await harness.post(path, { ...good, [name]: wrong })
        expectProblem(answer, 400, 'VALIDATION_FAILED', path)
        expect(answer.body.detail).toMatch(new RegExp(`^${name}: got .*, expected an? (text|integer)$`))
        expect(answer.text).not.toContain(SECRET)
      }
    }
  })

  it('refuses a member it does not know, naming the nearest it knows', async () => {
    const [first = ''] = required
    const misspelt = `${first}s`
    const answer = await harness.post(path, { ...good, [misspelt]: 1 })
    expectProblem(answer, 400, 'VALIDATION_FAILED', path)
    expect(answer.body.detail).toMatch(
      new RegExp(`^"${misspelt}" is no member of this request, .*; did you mean ${first}\\?$`),
    )
    const renamed = await harness.post(path, { ...good, [first]: undefined, [misspelt]: 1 })
    expect(renamed.body.detail).toMatch(new RegExp(`did you mean ${first}\\?$`))
  })

  it.each(['null', '[]', '"text"', '5'])('refuses the body %s, which is no object', async (body) => {
    const answer = await harness.post(path, body)
    expectProblem(answer, 400, 'VALIDATION_FAILED', path)
    expect(answer.body.detail).toMatch(/^the body: got .*, expected a JSON object$/)
  })

  it.each(['', '{', '{"id":', `{"plain":"${SECRET}"`, '{"__proto__":{"id":1}}'])(
    'refuses the body %j, which is no JSON',
    async (body) => {
      const answer = await harness.post(path, body)
      expectProblem(answer, 400, 'INVALID_JSON', path)
      expect(answer.text).not.toContain(SECRET)
    },
  )

  it('refuses every other content type, and none', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/xml']) {
      const { statusCode, body } = await harness.app.inject({
        method: 'POST',
        url: path,
        headers: { 'content-type': type },
        payload: '{}',
      })
      expect([statusCode, JSON.parse(body)]).toMatchObject([415, { error: 'UNSUPPORTED_MEDIA_TYPE', instance: path }])
    }
    const { statusCode } = await harness.app.inject({ method: 'POST', url: path, payload: Buffer.from('{}') })
    expect(statusCode).toBe(415)
  })

  it('refuses a body that is too large', async () => {
    expectProblem(
      await harness.post(path, { ...good, key_label: 'x'.repeat(1024 * 1024) }),
      413,
      'PAYLOAD_TOO_LARGE',
      path,
    )
  })

  it('answers another method with 405 and says which there are', async () => {
    for (const method of ['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'] as const) {
      const response = await harness.app.inject({ method, url: `${path}?x=1` })
      expect([response.statusCode, response.headers.allow]).toEqual([405, 'POST'])
      expect(JSON.parse(response.body)).toMatchObject({ error: 'METHOD_NOT_ALLOWED', instance: path })
    }
  })
})

describe('a member of a request', () => {
  it.each([
    ['/crypto/encrypt', encryption, 'plain'],
    ['/crypto/decrypt', decryption, 'cipher'],
    ['/crypto/decrypt', decryption, 'iv'],
  ])('of %s that is no hex is INVALID_HEX', async (path, good, name) => {
    for (const wrong of ['0', 'xx', '0x00', ' 00', '\u0130\u0130']) {
      const answer = await harness.post(path, { ...good, [name]: wrong })
      expectProblem(answer, 400, 'INVALID_HEX', path)
      expect(answer.body.detail).toMatch(new RegExp(`^${name}: `))
    }
  })

  it.each([-1, 0x8000_0000])('id may not be %d', async (id) => {
    const answer = await harness.post('/crypto/decrypt', { ...decryption, id })
    expectProblem(answer, 400, 'VALIDATION_FAILED', '/crypto/decrypt')
    expect(answer.body.detail).toBe(`id: got ${id}, expected an integer from 0 to 2147483647`)
  })

  it.each([
    ['', 'at least 1'],
    ['k'.repeat(256), 'at most 255'],
  ])('key_label may not be %j', async (key_label, expected) => {
    const answer = await harness.post('/crypto/encrypt', { ...encryption, key_label })
    expectProblem(answer, 400, 'VALIDATION_FAILED', '/crypto/encrypt')
    expect(answer.body.detail).toMatch(
      new RegExp(`^key_label: got a text of ${key_label.length} characters, expected ${expected}$`),
    )
  })
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
