import { createPublicKey, verify } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader, importJWK, jwtVerify } from 'jose'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AuthHarness, startAuthHarness } from '../auth-harness.js'
import { useStorePlaces } from '../store-places.js'

const hsm = useSoftHsmToken({ keys: [{ label: 'KEY_ENCRYPTION_AES256' }] })
const places = await useStorePlaces()

describe.each(places)('on $name', ({ make }) => {
  let harness: AuthHarness
  let consoleToken: string
  let udm: string

  beforeAll(async () => {
    harness = await startAuthHarness(hsm, undefined, {}, make())
    consoleToken = await harness.token('console', await harness.add('console', 'webconsole'))
    udm = await harness.token('udm', await harness.add('udm', 'udm'))
  })
  afterAll(() => harness.close())

  const encryptRequest = { key_label: 'KEY_ENCRYPTION_AES256', plain: 'c0ffee', encryption_algorithm: 5 }

  describe('a login', () => {
    it('gives a token and says so exactly as clients expect', async () => {
      const password = await harness.add('exact', 'udm')
      const { status, body } = await harness.ask('POST', '/login', undefined, { service_id: 'exact', password })
      expect([status, Object.keys(body), body.message]).toEqual([200, ['token', 'message'], 'Login successful'])
    })

    it('gives a JWT with the contract’s claims, good for 24 hours', () => {
      expect(decodeProtectedHeader(consoleToken)).toEqual({
        alg: 'RS256',
        typ: 'JWT',
        kid: expect.stringMatching(/^[\w-]{43}$/),
      })
      const claims = decodeJwt(consoleToken)
      expect(claims).toMatchObject({ iss: 'ssm-service', sub: 'console', aud: 'ssm-clients', nbf: claims.iat })
      expect(Number(claims.exp) - Number(claims.iat)).toBe(24 * 3600)
      expect(claims.jti).toMatch(/^[\da-f-]{36}$/)
    })

    it('gives a token that anybody verifies with the published key, by jose and by OpenSSL', async () => {
      const { status, body } = await harness.ask('GET', '/.well-known/jwks.json')
      expect(status).toBe(200)
      const [jwk, ...others] = body.keys as Record<string, string>[]
      expect(others).toEqual([])
      expect(Object.keys(jwk ?? {}).toSorted()).toEqual(['alg', 'e', 'kid', 'kty', 'n', 'use'])
      await jwtVerify(consoleToken, await importJWK(jwk ?? {}, 'RS256'), {
        issuer: 'ssm-service',
        audience: 'ssm-clients',
      })
      const [head, payload, signature] = consoleToken.split('.')
      const key = createPublicKey({ key: jwk!, format: 'jwk' })
      expect(verify('RSA-SHA256', Buffer.from(`${head}.${payload}`), key, Buffer.from(signature!, 'base64url'))).toBe(
        true,
      )
    })

    it('gives each time another token', async () => {
      const password = await harness.add('twice', 'udm')
      const [one, other] = [await harness.token('twice', password), await harness.token('twice', password)]
      expect(decodeJwt(one).jti).not.toBe(decodeJwt(other).jti)
    })

    it.each(['udm\0', 'udm\ud800', '\udfff'])('refuses a name that is no text: %j', async (name) => {
      const { status, body } = await harness.ask('POST', '/login', undefined, { service_id: name, password: 'x' })
      expect([status, body.error]).toEqual([400, 'VALIDATION_FAILED'])
    })

    it('answers a wrong password, an unknown account and a disabled one alike', async () => {
      const password = await harness.add('former', 'udm')
      await harness.accounts.disable('former')
      const answers = []
      for (const login of [
        { service_id: 'console', password: 'wrong' },
        { service_id: 'nobody', password: 'wrong' },
        { service_id: 'former', password },
      ]) {
        answers.push(await harness.ask('POST', '/login', undefined, login))
      }
      for (const { status, body, headers } of answers) {
        expect(status).toBe(401)
        expect(body).toEqual({ ...answers[0]!.body, error: 'invalid user', instance: '/login', status: 401 })
        expect(headers['www-authenticate']).toBe('Bearer realm="ssm"')
      }
    })

    it('is refused for a while after five failures from one address, the right password too', async () => {
      const password = await harness.add('guessed', 'udm')
      const statuses = []
      for (let made = 0; made < 5; made++) {
        const login = { service_id: 'guessed', password: `wrong-${made}` }
        statuses.push((await harness.ask('POST', '/login', undefined, login)).status)
      }
      expect(statuses).toEqual([401, 401, 401, 401, 401])
      const { status, body, headers } = await harness.ask('POST', '/login', undefined, {
        service_id: 'guessed',
        password,
      })
      expect([status, body.error]).toEqual([429, 'RATE_LIMITED'])
      expect(Number(headers['retry-after'])).toBeGreaterThanOrEqual(1)
    })

    it('of two hundred at once with one password is one check for all of them', async () => {
      const password = await harness.add('crowd', 'webconsole')
      const tokens = await Promise.all(Array.from({ length: 200 }, () => harness.token('crowd', password)))
      expect(new Set(tokens.map((each) => decodeJwt(each).jti)).size).toBe(200)
    })

    it('never repeats the password', async () => {
      const secret = 'correct horse battery staple'
      for (const login of [
        { service_id: 'console', password: secret },
        { service_id: 'console', passwort: secret },
      ]) {
        const { body } = await harness.ask('POST', '/login', undefined, login)
        expect(JSON.stringify(body)).not.toContain(secret)
      }
      for (const failure of harness.failures) expect(String(failure.cause)).not.toContain(secret)
    })
  })

  describe('a request', () => {
    it.each(['/crypto/encrypt', '/encrypt-pool', '/encrypt'])(
      'with the console’s token encrypts by %s',
      async (url) => {
        expect((await harness.ask('POST', url, consoleToken, encryptRequest)).status).toBe(201)
      },
    )

    it.each(['bearer', 'BEARER', 'Bearer  '])('may write its scheme as %j', async (scheme) => {
      expect((await harness.ask('GET', '/crypto/health-check', `${scheme} ${consoleToken}`)).status).toBe(200)
    })

    it('without a token is told so in the Go service’s words', async () => {
      const { status, body, headers } = await harness.ask('POST', '/crypto/encrypt', undefined, encryptRequest)
      expect(body).toMatchObject({ error: 'missing auth headers', status: 401, instance: '/crypto/encrypt' })
      expect(Object.keys(body).toSorted()).toEqual(['detail', 'error', 'instance', 'status', 'title'])
      expect([status, headers['www-authenticate']]).toEqual([401, 'Bearer realm="ssm"'])
    })

    it('is refused before its body is looked at', async () => {
      expect((await harness.ask('POST', '/crypto/encrypt', undefined, { nonsense: true })).status).toBe(401)
      expect((await harness.ask('POST', '/crypto/encrypt', udm, { nonsense: true })).status).toBe(403)
    })

    it('with an X-API-Key alone is one without a token', async () => {
      const { statusCode } = await harness.app.inject({
        url: '/crypto/health-check',
        headers: { 'x-api-key': 'anything' },
      })
      expect(statusCode).toBe(401)
    })

    it.each(['/healthz', '/readyz', '/pool/stats', '/.well-known/jwks.json'])('needs no token for %s', async (url) => {
      expect((await harness.ask('GET', url)).status).toBe(200)
    })

    it('for what is not there is told so, whoever asks', async () => {
      expect((await harness.ask('GET', '/nothing')).status).toBe(404)
      expect((await harness.ask('GET', '/crypto/encrypt')).status).toBe(405)
    })
  })

  describe('the role', () => {
    it.each<['GET' | 'POST', string, object | undefined]>([
      ['POST', '/crypto/encrypt', encryptRequest],
      ['POST', '/encrypt-pool', encryptRequest],
      ['POST', '/encrypt', encryptRequest],
      ['POST', '/crypto/generate-aes-key', { id: 9, bits: 256 }],
      ['POST', '/generate-aes-key', { id: 9, bits: 256 }],
    ])('udm may not %s %s', async (method, url, body) => {
      const answer = await harness.ask(method, url, udm, body)
      expect([answer.status, answer.body.error]).toEqual([403, 'invalid operation for the user'])
    })

    it('udm may decrypt and ask for health', async () => {
      const { body } = await harness.ask('POST', '/crypto/encrypt', consoleToken, encryptRequest)
      const { id, cipher, iv } = body
      const request = { key_label: 'KEY_ENCRYPTION_AES256', id, cipher, iv, encryption_algorithm: 5 }
      expect(await harness.ask('POST', '/crypto/decrypt', udm, request)).toMatchObject({
        status: 200,
        body: { plain: 'c0ffee' },
      })
      expect((await harness.ask('GET', '/crypto/health-check', udm)).status).toBe(200)
    })

    it('is what the account has now, not what it had when it logged in', async () => {
      const token = await harness.token('demoted', await harness.add('demoted', 'webconsole'))
      await harness.store.updateTable('accounts').set({ role: 'udm' }).where('service_id', '=', 'demoted').execute()
      harness.advance(5_000)
      expect((await harness.ask('POST', '/crypto/encrypt', token, encryptRequest)).status).toBe(403)
    })
  })
})
