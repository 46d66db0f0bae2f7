import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ACTIONS, mayDo } from '../../src/auth/actions.js'
import { type AuthHarness, startAuthHarness } from '../auth-harness.js'
// what it adds to Fastify's types
import '../../src/plugins/access.js'
import { type Harness, startHarness } from '../harness.js'

const hsm = useSoftHsmToken()
let guarded: AuthHarness
let open: Harness

beforeAll(async () => {
  guarded = await startAuthHarness(hsm)
  open = await startHarness(hsm)
})
afterAll(async () => {
  await guarded.close()
  await open.close()
})

describe('access', () => {
  it('is not to be had by a route that declares no action: it cannot be added', () => {
    for (const app of [guarded.app, open.app]) {
      expect(() => app.get('/forgotten', () => 'secret')).toThrow(/route GET \/forgotten declares no action/)
      expect(() => app.get('/forgotten-too', { config: { failure: 'INTERNAL_ERROR' } }, () => 'x')).toThrow(/no action/)
    }
  })

  it('of a route that does several things is asked about each of them', async () => {
    const answers: boolean[] = []
    const harness = await startAuthHarness(hsm)
    harness.app.get('/several', { config: { action: 'BATCH' } }, (request) => {
      answers.push(request.mayDo('ENCRYPT_DATA'), request.mayDo('DECRYPT_DATA'))
      return {}
    })
    expect((await harness.ask('GET', '/several')).status).toBe(401)
    const token = await harness.token('udm', await harness.add('udm', 'udm'))
    expect((await harness.ask('GET', '/several', token)).status).toBe(200)
    expect(answers).toEqual([false, true])
    await harness.close()
  })

  it('of a batch is each operation’s own: what a role may not do is refused, and the rest is done', async () => {
    const label = 'KEY_ENCRYPTION_AES256'
    const operations = [
      { operation: 'encrypt', key_label: label, plain: '00', encryption_algorithm: 5 },
      { operation: 'decrypt', key_label: label, id: 1, cipher: '', encryption_algorithm: 5 },
      { operation: 'encrypt-aes-gcm', key_label: label, plain: '00' },
      { operation: 'decrypt-aes-gcm', key_label: label, cipher: '', iv: '', tag: '' },
    ]
    const harness = await startAuthHarness(hsm)
    expect((await harness.ask('POST', '/crypto/batch', undefined, { operations })).status).toBe(401)
    const codes = async (role: 'udm' | 'webconsole') => {
      const token = await harness.token(role, await harness.add(role, role))
      const { status, body } = await harness.ask('POST', '/crypto/batch', token, { operations })
      const results = body.results as { status: number; body: { error: string } }[]
      return [status, ...results.map((result) => `${result.status} ${result.body.error}`)]
    }
    const refused = '403 invalid operation for the user'
    expect(await codes('udm')).toEqual([200, refused, '404 KEY_NOT_FOUND', refused, '400 VALIDATION_FAILED'])
    expect(await codes('webconsole')).toEqual([
      200,
      '404 KEY_NOT_FOUND',
      '404 KEY_NOT_FOUND',
      '404 KEY_NOT_FOUND',
      '400 VALIDATION_FAILED',
    ])
    await harness.close()
  })

  it('without authentication is for this machine only', async () => {
    const ask = async (remoteAddress: string) =>
      (await open.app.inject({ url: '/crypto/health-check', remoteAddress })).statusCode
    expect(await Promise.all(['127.0.0.1', '::1', '::ffff:127.0.0.1', '10.0.0.1', '::ffff:10.0.0.1'].map(ask))).toEqual(
      [200, 200, 200, 403, 403],
    )
  })

  it('without authentication has no login, and no keys to show', async () => {
    expect((await open.get('/.well-known/jwks.json')).status).toBe(404)
    expect((await open.post('/login', {})).status).toBe(404)
  })

  it('of each role is exactly the contract’s', () => {
    expect(ACTIONS.filter((action) => mayDo('udm', action))).toEqual([
      'HEALTH_CHECK',
      'DECRYPT_DATA',
      'DECRYPT_AES_GCM',
    ])
    expect(ACTIONS.filter((action) => mayDo('webconsole', action))).toEqual(ACTIONS)
  })
})
