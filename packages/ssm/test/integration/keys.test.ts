import { createCipheriv, randomBytes } from 'node:crypto'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { decipher, expectProblem, type Harness, importKey, startHarness } from '../harness.js'

const token = useSoftHsmToken()
const LABEL = 'KEY_ENCRYPTION_AES256'
let harness: Harness

beforeAll(async () => {
  harness = await startHarness(token)
})
afterAll(() => harness.close())

const encrypt = (key_label: string, path = '/crypto/encrypt') =>
  harness.post(path, { key_label, plain: 'c0ffee', encryption_algorithm: 5 })

async function destroyAll(label: string): Promise<void> {
  for (const { id } of await harness.client.keys.find({ label })) await harness.client.keys.destroy({ label, id })
}

describe.each(['/crypto/generate-aes-key', '/generate-aes-key'])('POST %s', (path) => {
  beforeEach(async () => {
    await destroyAll(LABEL)
    await destroyAll('KEY_ENCRYPTION_AES128')
  })

  it.each([128, 256])('makes a key of %d bits that cannot leave the token', async (bits) => {
    const answer = await harness.post(path, { id: 258, bits })
    expect(answer.status).toBe(201)
    expect(answer.body).toEqual({ id: 258, bits, handle: expect.any(Number) as number })
    expect(answer.body.handle).toBeLessThanOrEqual(0x7fff_ffff)
    const label = `KEY_ENCRYPTION_AES${bits}`
    const [key] = await harness.client.keys.find({ label })
    expect(key).toMatchObject({
      class: 'CKO_SECRET_KEY',
      keyType: 'CKK_AES',
      sizeBits: bits,
      id: Buffer.from([0, 0, 1, 2]),
    })
    const attributes = await harness.client.withSession(async (session) => {
      const { handle } = await session.findKey({ label })
      return session.getAttributes(handle, [
        'CKA_TOKEN',
        'CKA_PRIVATE',
        'CKA_SENSITIVE',
        'CKA_EXTRACTABLE',
        'CKA_ENCRYPT',
        'CKA_DECRYPT',
        'CKA_VALUE',
      ])
    })
    expect(attributes).toEqual({
      CKA_TOKEN: true,
      CKA_PRIVATE: true,
      CKA_SENSITIVE: true,
      CKA_EXTRACTABLE: false,
      CKA_ENCRYPT: true,
      CKA_DECRYPT: true,
      CKA_VALUE: undefined,
    })
  })

  it('makes all of ids 1 to n when they are asked for at once', async () => {
    const ids = Array.from({ length: 12 }, (_, index) => index + 1)
    const answers = await Promise.all(ids.map((id) => harness.post(path, { id, bits: 256 })))
    expect(answers.map(({ status }) => status)).toEqual(ids.map(() => 201))
    const keys = await harness.client.keys.find({ label: LABEL })
    expect(keys.map(({ id }) => id.readUInt32BE()).sort((a, b) => a - b)).toEqual(ids)
  })

  it('lets one of two requests for the same id win, and answers the other KEY_EXISTS', async () => {
    const answers = await Promise.all([1, 2].map(() => harness.post(path, { id: 5, bits: 256 })))
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409])
    const refused = answers.find(({ status }) => status === 409)
    if (refused !== undefined) expectProblem(refused, 409, 'KEY_EXISTS', path)
    expect(await harness.client.keys.find({ label: LABEL })).toHaveLength(1)
  })

  it('takes id 0 for the next one, never the same twice', async () => {
    expect((await harness.post(path, { id: 0, bits: 256 })).body.id).toBe(1)
    await harness.post(path, { id: 40, bits: 256 })
    const answers = await Promise.all([1, 2, 3].map(() => harness.post(path, { id: 0, bits: 256 })))
    expect(answers.map(({ body }) => body.id).sort()).toEqual([41, 42, 43])
  })

  it('says so where no id is left above the highest', async () => {
    await harness.post(path, { id: 0x7fff_ffff, bits: 128 })
    expectProblem(await harness.post(path, { id: 0, bits: 128 }), 500, 'KEY_GENERATION_ERROR', path)
  })

  it('refuses every other size', async () => {
    for (const bits of [0, 192, 512, -128]) {
      expectProblem(await harness.post(path, { id: 1, bits }), 400, 'INVALID_KEY_SIZE', path)
    }
  })

  it('has the new key used at once where it replaces a deleted one of the same id', async () => {
    await importKey(harness.client, { label: LABEL, id: 1, value: randomBytes(32) })
    const old = await encrypt(LABEL)
    await harness.client.keys.destroy({ label: LABEL, id: 1 })
    expect((await harness.post(path, { id: 1, bits: 256 })).status).toBe(201)
    const request = { key_label: LABEL, id: 1, encryption_algorithm: 5 }
    const { cipher, iv } = (await encrypt(LABEL)).body
    expect((await harness.post('/crypto/decrypt', { ...request, cipher, iv })).body).toEqual({ plain: 'c0ffee' })
    const stale = await harness.post('/crypto/decrypt', { ...request, cipher: old.body.cipher, iv: old.body.iv })
    expect(stale.body.plain).not.toBe('c0ffee')
  })
})

describe.each([
  { name: 'des', label: 'KEY_ENCRYPTION_DES', keyType: 'CKK_DES', other: 'des3' },
  { name: 'des3', label: 'KEY_ENCRYPTION_DES3', keyType: 'CKK_DES3', other: 'des' },
])('POST /crypto/generate-$name-key', ({ name, label, keyType, other }) => {
  let legacy: Harness
  beforeAll(async () => {
    legacy = await startHarness(token, { legacyAlgorithms: true })
  })
  afterAll(() => legacy.close())
  beforeEach(() => destroyAll(label))

  it.each([`/crypto/generate-${name}-key`, `/generate-${name}-key`])(
    'makes a key that cannot leave the token, as %s too',
    async (path) => {
      const answer = await legacy.post(path, { id: 3 })
      expect([answer.status, answer.body]).toEqual([201, { id: 3, handle: expect.any(Number) as number }])
      const [key] = await harness.client.keys.find({ label })
      expect(key).toMatchObject({ class: 'CKO_SECRET_KEY', keyType, id: Buffer.from([0, 0, 0, 3]) })
      const names = ['CKA_TOKEN', 'CKA_PRIVATE', 'CKA_SENSITIVE', 'CKA_EXTRACTABLE', 'CKA_VALUE'] as const
      expect(
        await harness.client.withSession(async (session) => {
          const { handle } = await session.findKey({ label })
          return session.getAttributes(handle, names)
        }),
      ).toEqual({
        CKA_TOKEN: true,
        CKA_PRIVATE: true,
        CKA_SENSITIVE: true,
        CKA_EXTRACTABLE: false,
        CKA_VALUE: undefined,
      })
    },
  )

  it('makes all of ids 1 to n when they are asked for at once, takes id 0 for the next, and none twice', async () => {
    const path = `/crypto/generate-${name}-key`
    const answers = await Promise.all([1, 2, 3].map((id) => legacy.post(path, { id })))
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201])
    expect((await legacy.post(path, { id: 0 })).body.id).toBe(4)
    expectProblem(await legacy.post(path, { id: 2 }), 409, 'KEY_EXISTS', path)
    expect(await harness.client.keys.find({ label })).toHaveLength(4)
  })

  it('is off unless the operator allows legacy algorithms', async () => {
    for (const each of [name, other]) {
      const path = `/crypto/generate-${each}-key`
      expectProblem(await harness.post(path, { id: 1 }), 400, 'UNSUPPORTED_ALGORITHM', path)
    }
    expect(await harness.client.keys.find({ label })).toEqual([])
  })
})

describe('the keys under a label', () => {
  it.each(['/crypto/encrypt', '/encrypt'])('all serve %s, and the answer says which one did', async (path) => {
    const label = `many${path}`
    const keys = new Map<number, Awaited<ReturnType<typeof importKey>>>()
    for (const id of [1, 2, 3]) keys.set(id, await importKey(harness.client, { label, id, value: randomBytes(32) }))
    const seen = new Set<number>()
    // 60 picks miss one of three keys with a probability of 1 in 10^10
    for (let round = 0; round < 60; round++) {
      const answer = await encrypt(label, path)
      const id = Number(answer.body.id)
      const key = keys.get(id)
      if (key === undefined) throw new Error(`the answer names the unknown id ${id}`)
      expect(decipher('aes-256-cbc', key, answer)).toBe('c0ffee')
      seen.add(id)
    }
    expect([...seen].sort()).toEqual([1, 2, 3])
  })

  it('may have ids shorter than 4 bytes', async () => {
    const value = randomBytes(32)
    const key = await importKey(harness.client, { label: 'short', id: Buffer.from([9]), value })
    for (const path of ['/crypto/encrypt', '/encrypt']) {
      const answer = await encrypt('short', path)
      expect(answer.body.id).toBe(9)
      expect(decipher('aes-256-cbc', key, answer)).toBe('c0ffee')
    }
    const iv = randomBytes(16)
    const cipher = createCipheriv('aes-256-cbc', value, iv)
    const hex = cipher.update('c0ffee', 'hex', 'hex') + cipher.final('hex')
    const request = { key_label: 'short', id: 9, cipher: hex, iv: iv.toString('hex'), encryption_algorithm: 5 }
    expect((await harness.post('/crypto/decrypt', request)).body).toEqual({ plain: 'c0ffee' })
  })

  it('are KEY_AMBIGUOUS, naming the ids, where one was asked for and several match', async () => {
    for (const id of [1, 2]) await importKey(harness.client, { label: 'two', id, value: randomBytes(32) })
    const request = { cipher: '', iv: '', encryption_algorithm: 5 }
    const unnamed = await harness.post('/crypto/decrypt', { ...request, key_label: 'two', id: 0 })
    expectProblem(unnamed, 409, 'KEY_AMBIGUOUS', '/crypto/decrypt')
    expect(unnamed.body.detail).toMatch(/ids there are 1 .*, 2 /)

    for (const id of [Buffer.from([1]), 1])
      await importKey(harness.client, { label: 'twins', id, value: randomBytes(32) })
    expectProblem(
      await harness.post('/crypto/decrypt', { ...request, key_label: 'twins', id: 1 }),
      409,
      'KEY_AMBIGUOUS',
      '/crypto/decrypt',
    )
    expectProblem(await encrypt('twins'), 409, 'KEY_AMBIGUOUS', '/crypto/encrypt')
  })

  it('are looked for again where another process has made the one asked for', async () => {
    const value = randomBytes(32)
    await importKey(harness.client, { label: 'shared', id: 1, value })
    const { cipher, iv } = (await encrypt('shared')).body
    const request = { key_label: 'shared', cipher, iv, encryption_algorithm: 5 }
    expectProblem(await harness.post('/crypto/decrypt', { ...request, id: 2 }), 404, 'KEY_NOT_FOUND', '/crypto/decrypt')
    token.createKeys([{ label: 'shared', id: 2 }])
    // another key: the data does not decrypt with it, but it is there
    expect((await harness.post('/crypto/decrypt', { ...request, id: 2 })).body.error).not.toBe('KEY_NOT_FOUND')
  })

  it('are looked for again where one that is remembered has gone', async () => {
    await importKey(harness.client, { label: 'going', id: 1, value: randomBytes(32) })
    await encrypt('going')
    const key = await importKey(harness.client, { label: 'going', id: 2, value: randomBytes(32) })
    await harness.client.keys.destroy({ label: 'going', id: 1 })
    const answer = await encrypt('going')
    expect(answer.body.id).toBe(2)
    expect(decipher('aes-256-cbc', key, answer)).toBe('c0ffee')
    await harness.client.keys.destroy({ label: 'going', id: 2 })
    expectProblem(await encrypt('going'), 404, 'KEY_NOT_FOUND', '/crypto/encrypt')
  })
})

describe('a service that is told to cache no keys', () => {
  it('finds the key in each request, and gives the same answers', async () => {
    const finding = await startHarness(token, { keyCache: false })
    const key = await importKey(finding.client, { label: 'found', id: 1, value: randomBytes(32) })
    const request = { key_label: 'found', plain: 'c0ffee', encryption_algorithm: 5 }
    expect(decipher('aes-256-cbc', key, await finding.post('/crypto/encrypt', request))).toBe('c0ffee')
    await finding.client.keys.destroy({ label: 'found', id: 1 })
    expectProblem(await finding.post('/crypto/encrypt', request), 404, 'KEY_NOT_FOUND', '/crypto/encrypt')
    await finding.close()
  })
})
