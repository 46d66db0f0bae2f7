import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from 'node:crypto'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Answer, expectProblem, type Harness, importKey, startHarness } from '../harness.js'

const token = useSoftHsmToken()
const LABEL = 'KEY_ENCRYPTION_AES256'
const PLAIN = '00112233445566778899aabbccddeeff01'
const AAD = 'feedface'
const value = randomBytes(32)
let harness: Harness
let key: KeyObject

beforeAll(async () => {
  harness = await startHarness(token)
  key = await importKey(harness.client, { label: LABEL, id: 7, value })
  await importKey(harness.client, { label: 'KEY_ENCRYPTION_AES128', id: 1, value: value.subarray(0, 16) })
  await importKey(harness.client, { label: 'K4_AES', id: 1, value, encrypt: false })
})
afterAll(() => harness.close())

/** What an answer's ciphertext opens to outside the token. */
function open(answer: Answer, aad = '', secret: KeyObject | Buffer = key): string {
  const { cipher, iv, tag } = answer.body as { cipher: string; iv: string; tag: string }
  const decipher = createDecipheriv('aes-256-gcm', secret, Buffer.from(iv, 'hex'), { authTagLength: 16 })
  decipher.setAAD(Buffer.from(aad, 'hex')).setAuthTag(Buffer.from(tag, 'hex'))
  return decipher.update(cipher, 'hex', 'hex') + decipher.final('hex')
}

/** A decryption request for what was encrypted outside the token. */
function sealed(plain = PLAIN, aad = AAD, secret = value) {
  const iv = randomBytes(12)
  const cipher = createCipheriv(secret.length === 16 ? 'aes-128-gcm' : 'aes-256-gcm', secret, iv, { authTagLength: 16 })
  cipher.setAAD(Buffer.from(aad, 'hex'))
  const hex = cipher.update(plain, 'hex', 'hex') + cipher.final('hex')
  return { key_label: LABEL, id: 7, cipher: hex, iv: iv.toString('hex'), tag: cipher.getAuthTag().toString('hex'), aad }
}

const flip = (hex: string) => ((Number.parseInt(hex.slice(0, 1), 16) ^ 1).toString(16) + hex.slice(1)).toLowerCase()

describe.each(['/crypto/encrypt-aes-gcm', '/encrypt-aes-gcm'])('POST %s', (path) => {
  const encryption = (more = {}) => ({ key_label: LABEL, plain: PLAIN, ...more })

  it('answers 200 with what opens outside the token to what was sent', async () => {
    const answer = await harness.post(path, encryption({ aad: AAD }))
    expect(answer.status).toBe(200)
    expect(Object.keys(answer.body).sort()).toEqual(
      ['cipher', 'id', 'iv', 'ok', 'tag', 'time_created', 'time_updated'].sort(),
    )
    expect(answer.body).toMatchObject({ id: 7, ok: true })
    expect(answer.body.iv).toMatch(/^[0-9a-f]{24}$/)
    expect(answer.body.tag).toMatch(/^[0-9a-f]{32}$/)
    expect(open(answer, AAD)).toBe(PLAIN)
    expect(() => open(answer, '')).toThrow(/authenticate/)
    expect(answer.body.time_created).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  })

  it('takes aad "" for none, and encrypts nothing too', async () => {
    for (const more of [{}, { aad: '' }, { plain: '' }]) {
      expect(open(await harness.post(path, encryption(more)))).toBe('plain' in more ? '' : PLAIN)
    }
  })

  it('uses another initialisation vector each time', async () => {
    const answers = await Promise.all([1, 2, 3, 4].map(() => harness.post(path, encryption())))
    expect(new Set(answers.map(({ body }) => body.iv)).size).toBe(4)
  })

  it('spreads over the keys of a label, and says which one it was', async () => {
    const label = `gcm${path}`
    const secrets = [randomBytes(32), randomBytes(32)] as const
    for (const [at, secret] of secrets.entries()) {
      await importKey(harness.client, { label, id: at + 1, value: secret })
    }
    const seen = new Set<number>()
    // 40 picks miss one of two keys with a probability of 1 in 10^12
    for (let round = 0; round < 40; round++) {
      const answer = await harness.post(path, encryption({ key_label: label }))
      const secret = secrets[Number(answer.body.id) - 1]
      expect(open(answer, '', secret)).toBe(PLAIN)
      seen.add(Number(answer.body.id))
    }
    expect([...seen].sort()).toEqual([1, 2])
  })

  it('refuses labels that are for something else, the service’s own, and those without a key', async () => {
    for (const key_label of ['KEY_ENCRYPTION_AES128', 'K4_AES', 'KEY_ENCRYPTION_DES3']) {
      expectProblem(await harness.post(path, encryption({ key_label })), 400, 'INVALID_KEY_TYPE', path)
    }
    expectProblem(await harness.post(path, encryption({ key_label: 'SSM_ENC_KEY' })), 400, 'VALIDATION_FAILED', path)
    expectProblem(await harness.post(path, encryption({ key_label: 'none' })), 404, 'KEY_NOT_FOUND', path)
  })

  it('answers INVALID_KEY_TYPE where the token says that the key is no AES key', async () => {
    const label = `des3${path}`
    await importKey(harness.client, { label, id: 1, value: randomBytes(24), type: 'CKK_DES3' })
    expectProblem(await harness.post(path, encryption({ key_label: label })), 400, 'INVALID_KEY_TYPE', path)
  })
})

describe.each(['/crypto/decrypt-aes-gcm', '/decrypt-aes-gcm'])('POST %s', (path) => {
  it.each([
    [PLAIN, AAD],
    [PLAIN, ''],
    ['', AAD],
    ['5a'.repeat(10_000), ''],
  ])('gives back what was encrypted outside the token', async (plain, aad) => {
    const answer = await harness.post(path, sealed(plain, aad))
    expect(answer.status).toBe(200)
    expect(Object.keys(answer.body).sort()).toEqual(['id', 'ok', 'plain', 'time_created', 'time_updated'])
    expect(answer.body).toMatchObject({ plain, id: 7, ok: true })
  })

  it('gives back what the service encrypted, with any aad', async () => {
    for (const aad of ['', AAD]) {
      const { cipher, iv, tag, id } = (
        await harness.post('/crypto/encrypt-aes-gcm', { key_label: LABEL, plain: PLAIN, aad })
      ).body
      const answer = await harness.post(path, { key_label: LABEL, id, cipher, iv, tag, aad })
      expect(answer.body).toMatchObject({ plain: PLAIN })
    }
  })

  it('takes a missing id for 0, and 0 for the only key under the label', async () => {
    for (const id of [undefined, 0]) {
      expect((await harness.post(path, { ...sealed(), id })).body).toMatchObject({ plain: PLAIN, id: 7 })
    }
  })

  it('decrypts under every label for AES: the key decides which it is', async () => {
    const small = sealed(PLAIN, AAD, value.subarray(0, 16))
    const answer = await harness.post(path, { ...small, key_label: 'KEY_ENCRYPTION_AES128', id: 1 })
    expect(answer.body).toMatchObject({ plain: PLAIN })
  })

  it('answers one and the same AUTHENTICATION_FAILED whatever was changed', async () => {
    const good = sealed()
    const answers = await Promise.all(
      [
        { ...good, tag: flip(good.tag) },
        { ...good, iv: flip(good.iv) },
        { ...good, cipher: flip(good.cipher) },
        { ...good, cipher: good.cipher.slice(2) },
        { ...good, cipher: '' },
        { ...good, aad: flip(good.aad) },
        { ...good, aad: '' },
        { ...good, aad: undefined },
        sealed(PLAIN, AAD, randomBytes(32)),
      ].map((body) => harness.post(path, body)),
    )
    for (const answer of answers) expectProblem(answer, 401, 'AUTHENTICATION_FAILED', path)
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1)
  })

  it('refuses an iv or a tag of another length', async () => {
    const cases = [
      ['iv', '', 12],
      ['iv', '00'.repeat(16), 12],
      ['tag', '', 16],
      ['tag', '00'.repeat(12), 16],
    ] as const
    for (const [member, hex, expected] of cases) {
      const answer = await harness.post(path, { ...sealed(), [member]: hex })
      expectProblem(answer, 400, 'VALIDATION_FAILED', path)
      expect(answer.body.detail).toBe(`${member}: got ${hex.length / 2} bytes, expected ${expected} for AES-GCM`)
    }
  })

  it('refuses labels of other ciphers and the service’s own, and finds no key where there is none', async () => {
    expectProblem(await harness.post(path, { ...sealed(), key_label: 'K4_DES3' }), 400, 'INVALID_KEY_TYPE', path)
    expectProblem(
      await harness.post(path, { ...sealed(), key_label: 'ENCRYPTION_KEY_INTERNAL_AES256' }),
      400,
      'VALIDATION_FAILED',
      path,
    )
    expectProblem(await harness.post(path, { ...sealed(), id: 8 }), 404, 'KEY_NOT_FOUND', path)
  })
})

it('what a caller got wrong is no matter for the operator', () => {
  expect(harness.failures).toEqual([])
})
