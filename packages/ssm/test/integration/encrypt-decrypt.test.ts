import { createCipheriv, randomBytes } from 'node:crypto'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decipher, expectProblem, type Harness, importKey, startHarness } from '../harness.js'

const token = useSoftHsmToken()
const LABEL = 'KEY_ENCRYPTION_AES256'
const PLAIN = '00112233445566778899aabbccddeeff'
const value = randomBytes(32)
const external = randomBytes(16)
const des3 = randomBytes(24)
let harness: Harness
let key: Awaited<ReturnType<typeof importKey>>

beforeAll(async () => {
  harness = await startHarness(token)
  const { client } = harness
  key = await importKey(client, { label: LABEL, id: 7, value })
  await importKey(client, { label: 'K4_AES', id: 3, value: external, encrypt: false })
  await importKey(client, { label: 'KEY_ENCRYPTION_DES3', id: 1, value: des3, type: 'CKK_DES3' })
})
afterAll(() => harness.close())

const encryption = (plain: string, more = {}) => ({ key_label: LABEL, plain, encryption_algorithm: 5, ...more })

describe.each(['/crypto/encrypt', '/encrypt-pool', '/encrypt'])('POST %s', (path) => {
  it('answers 201 with what decrypts outside the token to what was sent', async () => {
    const before = Date.now()
    const answer = await harness.post(path, encryption(PLAIN))
    expect(answer.status).toBe(201)
    expect(Object.keys(answer.body).sort()).toEqual(['cipher', 'id', 'iv', 'ok', 'time_created', 'time_updated'])
    expect(answer.body).toMatchObject({ id: 7, ok: true, iv: expect.stringMatching(/^[0-9a-f]{32}$/) as string })
    expect(decipher('aes-256-cbc', key, answer)).toBe(PLAIN)
    const created = String(answer.body.time_created)
    expect(created).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    expect(Date.parse(created)).toBeGreaterThanOrEqual(before)
    expect(answer.body.time_updated).toBe(created)
    expect(answer.headers['cache-control']).toBe('no-store')
  })

  it.each(['', 'ff', 'AbCd', '00'.repeat(16), '5a'.repeat(100_000)])(
    'encrypts a plaintext of any length',
    async (plain) => {
      expect(decipher('aes-256-cbc', key, await harness.post(path, encryption(plain)))).toBe(plain.toLowerCase())
    },
  )

  it('uses another initialisation vector each time', async () => {
    const answers = await Promise.all([1, 2, 3].map(() => harness.post(path, encryption(PLAIN))))
    expect(new Set(answers.map(({ body }) => body.iv)).size).toBe(3)
  })

  it('answers 404 where the label has no key', async () => {
    expectProblem(await harness.post(path, encryption(PLAIN, { key_label: 'none' })), 404, 'KEY_NOT_FOUND', path)
  })

  it('answers 400 where the algorithm does not encrypt or is not allowed', async () => {
    for (const encryption_algorithm of [1, 4, 7, 8, 9, 0]) {
      expectProblem(
        await harness.post(path, encryption(PLAIN, { encryption_algorithm })),
        400,
        'UNSUPPORTED_ALGORITHM',
        path,
      )
    }
  })

  it('answers 400 under a label for something else, and under the service’s own', async () => {
    expectProblem(await harness.post(path, encryption(PLAIN, { key_label: 'K4_AES' })), 400, 'INVALID_KEY_TYPE', path)
    expectProblem(
      await harness.post(path, encryption(PLAIN, { key_label: 'JWT_SIGNING_KEY' })),
      400,
      'VALIDATION_FAILED',
      path,
    )
  })

  it('answers 400 where the token says the key is of another type or not allowed to encrypt', async () => {
    await importKey(harness.client, { label: `des3${path}`, id: 1, value: randomBytes(24), type: 'CKK_DES3' })
    await importKey(harness.client, { label: `mute${path}`, id: 1, value: randomBytes(32), encrypt: false })
    expectProblem(
      await harness.post(path, encryption(PLAIN, { key_label: `des3${path}` })),
      400,
      'INVALID_KEY_TYPE',
      path,
    )
    expectProblem(
      await harness.post(path, encryption(PLAIN, { key_label: `mute${path}` })),
      400,
      'INVALID_KEY_TYPE',
      path,
    )
  })
})

describe.each(['/crypto/decrypt', '/decrypt'])('POST %s', (path) => {
  const iv = randomBytes(16)
  const decryption = (cipher: string, more = {}) => ({
    key_label: LABEL,
    id: 7,
    cipher,
    iv: iv.toString('hex'),
    encryption_algorithm: 5,
    ...more,
  })
  const encipher = (algorithm: string, secret: Buffer, vector: Buffer | null, plain: string, padding = true) => {
    const cipher = createCipheriv(algorithm, secret, vector).setAutoPadding(padding)
    return cipher.update(plain, 'hex', 'hex') + cipher.final('hex')
  }

  it.each(['', 'ff', PLAIN, '5a'.repeat(1000)])('gives back what was encrypted outside the token', async (plain) => {
    const answer = await harness.post(path, decryption(encipher('aes-256-cbc', value, iv, plain)))
    expect([answer.status, answer.body]).toEqual([200, { plain }])
  })

  it('takes upper-case hex', async () => {
    const cipher = encipher('aes-256-cbc', value, iv, PLAIN).toUpperCase()
    const answer = await harness.post(path, decryption(cipher, { iv: iv.toString('hex').toUpperCase() }))
    expect(answer.body).toEqual({ plain: PLAIN })
  })

  it('gives back what the service encrypted, also the empty plaintext', async () => {
    for (const plain of [PLAIN, '']) {
      const { body } = await harness.post('/crypto/encrypt', encryption(plain))
      const answer = await harness.post(path, decryption(String(body.cipher), { iv: body.iv, id: body.id }))
      expect(answer.body).toEqual({ plain })
    }
  })

  it('takes id 0 for the only key under the label', async () => {
    const cipher = encipher('aes-256-cbc', value, iv, PLAIN)
    expect((await harness.post(path, decryption(cipher, { id: 0 }))).body).toEqual({ plain: PLAIN })
  })

  it.each([{ iv: '' }, { iv: undefined }])(
    'decrypts in ECB, without padding, where there is no iv',
    async (without) => {
      const cipher = encipher('aes-128-ecb', external, null, PLAIN, false)
      const request = { key_label: 'K4_AES', id: 3, encryption_algorithm: 2 }
      expect((await harness.post(path, decryption(cipher, { ...request, ...without }))).body).toEqual({ plain: PLAIN })
    },
  )

  it('decrypts with DES3 under an IV of 8 bytes, and in ECB', async () => {
    const request = { key_label: 'KEY_ENCRYPTION_DES3', id: 1, encryption_algorithm: 8 }
    const vector = randomBytes(8)
    const cbc = encipher('des-ede3-cbc', des3, vector, PLAIN)
    expect((await harness.post(path, decryption(cbc, { ...request, iv: vector.toString('hex') }))).body).toEqual({
      plain: PLAIN,
    })
    const ecb = encipher('des-ede3-ecb', des3, null, PLAIN, false)
    expect((await harness.post(path, decryption(ecb, { ...request, iv: '' }))).body).toEqual({ plain: PLAIN })
  })

  it('refuses an iv of any other length instead of taking it for none', async () => {
    for (const length of [1, 8, 15, 17]) {
      const answer = await harness.post(path, decryption('00'.repeat(16), { iv: '00'.repeat(length) }))
      expectProblem(answer, 400, 'VALIDATION_FAILED', path)
      expect(answer.body.detail).toBe(`iv: got ${length} bytes, expected 16 for AES, or "" for ECB`)
    }
  })

  it('says one thing, the same each time, whatever is wrong with the data', async () => {
    const good = encipher('aes-256-cbc', value, iv, PLAIN)
    const bad = [
      good.slice(0, -2),
      '',
      'ab',
      // no padding at the end, of each kind; altered bytes would decrypt to a valid one once in 256 times
      ...[PLAIN, '00'.repeat(16), '00'.repeat(15) + '11', '00'.repeat(14) + '0102'].map((block) =>
        encipher('aes-256-cbc', value, iv, block, false),
      ),
    ]
    const answers = await Promise.all(bad.map((cipher) => harness.post(path, decryption(cipher))))
    for (const answer of answers) expectProblem(answer, 500, 'DECRYPTION_ERROR', path)
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1)
  })

  it('never drops the padding by itself, and only where legacy algorithms are allowed when asked to', async () => {
    const unpadded = encipher('aes-256-cbc', value, iv, PLAIN, false)
    expectProblem(await harness.post(path, decryption(unpadded)), 500, 'DECRYPTION_ERROR', path)
    expectProblem(
      await harness.post(path, decryption(unpadded, { padding: 'none' })),
      400,
      'UNSUPPORTED_ALGORITHM',
      path,
    )
    expectProblem(await harness.post(path, decryption(unpadded, { padding: 'some' })), 400, 'VALIDATION_FAILED', path)
  })

  it('refuses to take padding off blocks that were decrypted in ECB, where it would say whether it was right', async () => {
    const cipher = encipher('aes-256-ecb', value, null, PLAIN)
    expectProblem(
      await harness.post(path, decryption(cipher, { iv: '', padding: 'pkcs7' })),
      400,
      'VALIDATION_FAILED',
      path,
    )
    const padded = await harness.post(path, decryption(cipher, { iv: '' }))
    expect(padded.body).toEqual({ plain: PLAIN + '10'.repeat(16) })
  })

  it('answers 404 where there is no such key', async () => {
    expectProblem(await harness.post(path, decryption('', { id: 8 })), 404, 'KEY_NOT_FOUND', path)
    expectProblem(await harness.post(path, decryption('', { key_label: 'none', id: 0 })), 404, 'KEY_NOT_FOUND', path)
  })
})

describe('an operator who allows legacy algorithms', () => {
  let legacy: Harness
  beforeAll(async () => {
    legacy = await startHarness(token, { legacyAlgorithms: true })
  })
  afterAll(() => legacy.close())

  it('has clients encrypt with DES3', async () => {
    const request = { key_label: 'KEY_ENCRYPTION_DES3', plain: PLAIN, encryption_algorithm: 8 }
    const answer = await legacy.post('/crypto/encrypt', request)
    expect(answer.status).toBe(201)
    expect(answer.body.iv).toMatch(/^[0-9a-f]{16}$/)
    const { createSecretKey } = await import('node:crypto')
    expect(decipher('des-ede3-cbc', createSecretKey(des3), answer)).toBe(PLAIN)
  })

  it('has clients read data that was written without padding', async () => {
    const iv = randomBytes(16)
    const cipher = createCipheriv('aes-256-cbc', value, iv).setAutoPadding(false)
    const hex = cipher.update(PLAIN, 'hex', 'hex') + cipher.final('hex')
    const request = {
      key_label: LABEL,
      id: 7,
      cipher: hex,
      iv: iv.toString('hex'),
      encryption_algorithm: 5,
      padding: 'none',
    }
    expect((await legacy.post('/crypto/decrypt', request)).body).toEqual({ plain: PLAIN })
  })
})
