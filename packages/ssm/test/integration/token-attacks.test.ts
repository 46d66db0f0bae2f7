import { createHmac, createPublicKey, generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AuthHarness, startAuthHarness } from '../auth-harness.js'

const hsm = useSoftHsmToken()
const foreign = generateKeyPairSync('rsa', { modulusLength: 2048 })
let harness: AuthHarness
let genuine: string
let jwk: Record<string, string>

beforeAll(async () => {
  harness = await startAuthHarness(hsm)
  genuine = await harness.token('udm', await harness.add('udm', 'udm'))
  const { body } = await harness.ask('GET', '/.well-known/jwks.json')
  jwk = (body.keys as Record<string, string>[])[0]!
})
afterAll(() => harness.close())

const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')

/** The claims of a genuine token, changed, signed by the real key on the HSM. */
async function signedOnToken(changes: Record<string, unknown>, header: Record<string, unknown> = {}): Promise<string> {
  const text = `${encode({ alg: 'RS256', typ: 'JWT', kid: jwk.kid, ...header })}.${encode({ ...decodeJwt(genuine), ...changes })}`
  const signature = await harness.client.sign({ label: 'JWT_SIGNING_KEY' }, 'CKM_SHA256_RSA_PKCS', Buffer.from(text))
  return `${text}.${signature.toString('base64url')}`
}

/** The same signed by a key that is not ours. */
function signedByForeigner(header: Record<string, unknown>): string {
  const text = `${encode({ alg: 'RS256', typ: 'JWT', ...header })}.${encode(decodeJwt(genuine))}`
  return `${text}.${sign('RSA-SHA256', Buffer.from(text), foreign.privateKey).toString('base64url')}`
}

async function expectRefused(token: string, error = 'invalid or expired token'): Promise<void> {
  const answer = await harness.ask('GET', '/crypto/health-check', token)
  expect([answer.status, answer.body.error]).toEqual([401, error])
}

const now = () => Math.floor(Date.now() / 1000)

describe('a token', () => {
  it('that is genuine is let in, so that the refusals below are about what they change', async () => {
    expect((await harness.ask('GET', '/crypto/health-check', genuine)).status).toBe(200)
    expect((await harness.ask('GET', '/crypto/health-check', await signedOnToken({}))).status).toBe(200)
  })

  it('without a signature is refused, however it says "none"', async () => {
    const [, claims] = genuine.split('.')
    for (const alg of ['none', 'None', 'NONE', '']) {
      await expectRefused(`Bearer ${encode({ alg, typ: 'JWT' })}.${claims}.`)
      await expectRefused(`${encode({ alg, typ: 'JWT', kid: jwk.kid })}.${claims}.AA`)
    }
    await expectRefused(genuine.split('.').slice(0, 2).join('.') + '.')
  })

  it('signed by HMAC with the public key as its secret is refused', async () => {
    const key = createPublicKey({ key: jwk, format: 'jwk' })
    const secrets = [
      key.export({ type: 'spki', format: 'pem' }),
      key.export({ type: 'pkcs1', format: 'pem' }),
      key.export({ type: 'spki', format: 'der' }),
      Buffer.from(jwk.n!, 'base64url'),
    ]
    for (const secret of secrets) {
      const text = `${encode({ alg: 'HS256', typ: 'JWT', kid: jwk.kid })}.${encode(decodeJwt(genuine))}`
      await expectRefused(`${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`)
    }
  })

  it('that brings its own key in jwk, jku or x5u, or names one that is not ours, is refused', async () => {
    const own = foreign.publicKey.export({ format: 'jwk' })
    await expectRefused(signedByForeigner({ jwk: own }))
    await expectRefused(signedByForeigner({ jwk: own, kid: jwk.kid }))
    await expectRefused(signedByForeigner({ jku: 'http://127.0.0.1:1/jwks.json', kid: 'mine' }))
    await expectRefused(signedByForeigner({ x5u: 'http://127.0.0.1:1/cert.pem', kid: jwk.kid }))
    for (const kid of [undefined, '', '../../etc/passwd', "' or 1=1 --", '__proto__', 7, null, ['a']]) {
      await expectRefused(signedByForeigner({ kid }))
    }
  })

  it('of another algorithm of the same key is refused', async () => {
    for (const alg of ['PS256', 'RS384', 'ES256', 'EdDSA']) await expectRefused(await signedOnToken({}, { alg }))
  })

  it('with a critical extension that nobody knows is refused', async () => {
    await expectRefused(await signedOnToken({}, { crit: ['b64'], b64: false }))
  })

  it('that has expired is refused with 401, with a tolerance of 30 s', async () => {
    await expectRefused(await signedOnToken({ exp: now() - 35 }))
    expect((await harness.ask('GET', '/crypto/health-check', await signedOnToken({ exp: now() - 20 }))).status).toBe(
      200,
    )
  })

  it('that is not valid yet is refused, with a tolerance of 30 s', async () => {
    await expectRefused(await signedOnToken({ nbf: now() + 60 }))
    expect((await harness.ask('GET', '/crypto/health-check', await signedOnToken({ nbf: now() + 20 }))).status).toBe(
      200,
    )
  })

  it.each<Record<string, unknown>>([
    { aud: 'others' },
    { aud: ['others'] },
    { iss: 'another-service' },
    { exp: undefined },
    { exp: 'never' },
    { nbf: undefined },
    { iat: undefined },
    { jti: undefined },
    { aud: undefined },
    { iss: undefined },
    { sub: undefined },
    { sub: 7 },
    { ver: undefined },
    { ver: '1' },
    { ver: 2 },
  ])('with the claim %o is refused though its signature is ours', async (changes) => {
    await expectRefused(await signedOnToken(changes))
  })

  it('of an account that is not there is refused', async () => {
    await expectRefused(await signedOnToken({ sub: `nobody-${randomUUID()}` }), 'invalid user')
  })

  it('with one bit changed anywhere is refused', async () => {
    const [head = '', claims = '', signature = ''] = genuine.split('.')
    const flip = (part: string) => {
      const bytes = Buffer.from(part, 'base64url')
      bytes[bytes.length >> 1]! ^= 1
      return bytes.toString('base64url')
    }
    for (const token of [
      [flip(head), claims, signature],
      [head, flip(claims), signature],
      [head, claims, flip(signature)],
    ]) {
      await expectRefused(token.join('.'))
    }
  })

  it.each([
    'Bearer',
    'Bearer ',
    'Basic dWRtOng=',
    'Bearer a.b',
    'Bearer a.b.c',
    'Bearer a.b.c.d.e',
    'Token x y',
    'null x',
  ])('that is none, in the header %j, is refused', async (header) => {
    const answer = await harness.app.inject({ url: '/crypto/health-check', headers: { authorization: header } })
    expect([answer.statusCode, answer.json().error]).toEqual([401, 'invalid or expired token'])
  })

  it('is refused within 5 s after its account is disabled, however often it was let in', async () => {
    const token = await harness.token('revoked', await harness.add('revoked', 'udm'))
    expect((await harness.ask('GET', '/crypto/health-check', token)).status).toBe(200)
    await harness.accounts.disable('revoked')
    harness.advance(5_000)
    await expectRefused(token, 'invalid user')
  })

  it('is refused for good after its account got a new password', async () => {
    const token = await harness.token('renewed', await harness.add('renewed', 'udm'))
    const fresh = await harness.token('renewed', await harness.accounts.resetPassword('renewed'))
    // at once: the token tells that there is a newer password
    expect((await harness.ask('GET', '/crypto/health-check', fresh)).status).toBe(200)
    await expectRefused(token)
  })

  it('signed by a key that another process made is let in, and the older ones stay good', async () => {
    hsm.createKeys([{ label: 'JWT_SIGNING_KEY', id: 2, type: 'rsa-2048' }])
    const text = (kid: string) => `${encode({ alg: 'RS256', typ: 'JWT', kid })}.${encode(decodeJwt(genuine))}`
    const kid = await kidOf(2)
    const signature = await harness.client.sign(
      { label: 'JWT_SIGNING_KEY', id: 2 },
      'CKM_SHA256_RSA_PKCS',
      Buffer.from(text(kid)),
    )
    const token = `${text(kid)}.${signature.toString('base64url')}`
    // names that nobody knows do not make the token be asked each time
    harness.advance(1_000)
    expect((await harness.ask('GET', '/crypto/health-check', token)).status).toBe(200)
    expect((await harness.ask('GET', '/crypto/health-check', genuine)).status).toBe(200)
    const { body } = await harness.ask('GET', '/.well-known/jwks.json')
    expect((body.keys as { kid: string }[]).map((each) => each.kid)).toEqual([jwk.kid, kid])
    const password = await harness.add('late', 'udm')
    expect(decodeProtectedHeader(await harness.token('late', password)).kid).toBe(kid)
  })
})

/** The name of a signing key, computed from the token by the test's own means. */
async function kidOf(id: number): Promise<string> {
  const { calculateJwkThumbprint } = await import('jose')
  return harness.client.withSession(async (session) => {
    const key = await session.findKey({ label: 'JWT_SIGNING_KEY', id, class: 'CKO_PUBLIC_KEY' })
    const { CKA_MODULUS, CKA_PUBLIC_EXPONENT } = await session.getAttributes(key.handle, [
      'CKA_MODULUS',
      'CKA_PUBLIC_EXPONENT',
    ])
    const [n, e] = [CKA_MODULUS!, CKA_PUBLIC_EXPONENT!].map((bytes) => bytes.toString('base64url'))
    return calculateJwkThumbprint({ kty: 'RSA', n: n!, e: e! })
  })
}
