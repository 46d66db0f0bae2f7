import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { expectProblem, type Harness, importKey, startHarness } from '../harness.js'

const token = useSoftHsmToken()
const PLAIN = '00112233445566778899aabbccddeeff'
const RESERVED = [
  'SSM_ENC_KEY',
  'ENCRYPTION_KEY_INTERNAL_AES256',
  'ENCRYPTION_KEY_INTERNAL_AES128',
  'AUDIT_SIGNING_KEY',
  'JWT_SIGNING_KEY',
]
let harness: Harness

beforeAll(async () => {
  harness = await startHarness(token)
})
afterAll(() => harness.close())
afterEach(async () => {
  for (const { label, id } of await harness.client.keys.find()) await harness.client.keys.destroy({ label, id })
})

const key = (value: Buffer, more = {}) => ({
  key_label: 'K4_AES',
  id: 4,
  key_value: value.toString('hex'),
  key_type: 'AES',
  ...more,
})

/** What a key of known value makes of a block, outside the token. */
function encipher(value: Buffer, plain = PLAIN): string {
  const cipher = createCipheriv(`aes-${value.length * 8}-ecb`, value, null).setAutoPadding(false)
  return cipher.update(plain, 'hex', 'hex') + cipher.final('hex')
}

async function decrypts(value: Buffer, more = {}): Promise<unknown> {
  const request = { key_label: 'K4_AES', id: 4, cipher: encipher(value), iv: '', encryption_algorithm: 1, ...more }
  return (await harness.post('/crypto/decrypt', request)).body.plain
}

describe.each(['/crypto/store-key', '/store-key'])('POST %s', (path) => {
  it.each([16, 32])('puts a key of %d bytes on the token, which then decrypts', async (bytes) => {
    const value = randomBytes(bytes)
    const answer = await harness.post(path, key(value))
    expect([answer.status, answer.body]).toEqual([201, { handle: expect.any(Number) as number, cipher_key: '' }])
    expect(await decrypts(value)).toBe(PLAIN)
    expect(answer.text).not.toContain(value.toString('hex'))
  })

  it('makes a key that decrypts and does nothing else, and cannot leave the token', async () => {
    await harness.post(path, key(randomBytes(32)))
    const [found] = await harness.client.keys.find({ label: 'K4_AES' })
    expect(found?.id.toString('hex')).toBe('00000004')
    const names = [
      'CKA_TOKEN',
      'CKA_PRIVATE',
      'CKA_SENSITIVE',
      'CKA_EXTRACTABLE',
      'CKA_DECRYPT',
      'CKA_ENCRYPT',
      'CKA_WRAP',
      'CKA_UNWRAP',
      'CKA_VALUE',
    ] as const
    const attributes = await harness.client.withSession(async (session) =>
      session.getAttributes((await session.findKey({ label: 'K4_AES' })).handle, names),
    )
    expect(attributes).toEqual({
      CKA_TOKEN: true,
      CKA_PRIVATE: true,
      CKA_SENSITIVE: true,
      CKA_EXTRACTABLE: false,
      CKA_DECRYPT: true,
      CKA_ENCRYPT: false,
      CKA_WRAP: false,
      CKA_UNWRAP: false,
      CKA_VALUE: undefined,
    })
  })

  it('answers KEY_EXISTS for an id that is taken, and leaves the key there as it is', async () => {
    const value = randomBytes(32)
    await harness.post(path, key(value))
    expectProblem(await harness.post(path, key(randomBytes(32))), 409, 'KEY_EXISTS', path)
    expect(await decrypts(value)).toBe(PLAIN)
    expect(await harness.client.keys.find({ label: 'K4_AES' })).toHaveLength(1)
  })

  it('lets one of two requests for the same id win', async () => {
    const answers = await Promise.all([1, 2].map(() => harness.post(path, key(randomBytes(32)))))
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409])
  })

  it('stores all of ids 1 to n when they are asked for at once, and takes id 0 for the next', async () => {
    const ids = [1, 2, 3, 4, 5, 6]
    const answers = await Promise.all(ids.map((id) => harness.post(path, key(randomBytes(16), { id }))))
    expect(answers.map(({ status }) => status)).toEqual(ids.map(() => 201))
    const value = randomBytes(32)
    expect((await harness.post(path, key(value, { id: 0 }))).status).toBe(201)
    expect(await decrypts(value, { id: 7 })).toBe(PLAIN)
  })

  it('says so where no id is left', async () => {
    await harness.post(path, key(randomBytes(16), { id: 0x7fff_ffff }))
    expectProblem(await harness.post(path, key(randomBytes(16), { id: 0 })), 500, 'KEY_STORAGE_ERROR', path)
  })

  it('gives the value back under SSM_ENC_KEY where the token has that key, its IV first', async () => {
    const own = randomBytes(32)
    await importKey(harness.client, { label: 'SSM_ENC_KEY', id: 1, value: own })
    const value = randomBytes(32)
    const { body } = await harness.post(path, key(value))
    const bytes = Buffer.from(String(body.cipher_key), 'hex')
    const decipher = createDecipheriv('aes-256-cbc', own, bytes.subarray(0, 16))
    expect(Buffer.concat([decipher.update(bytes.subarray(16)), decipher.final()])).toEqual(value)
  })

  it('stores nothing where the copy that it owes cannot be made', async () => {
    await importKey(harness.client, { label: 'SSM_ENC_KEY', id: 1, value: randomBytes(24), type: 'CKK_DES3' })
    const answer = await harness.post(path, key(randomBytes(32)))
    expectProblem(answer, 500, 'KEY_STORAGE_ERROR', path)
    expect(answer.body.detail).toMatch(/SSM_ENC_KEY could not be made, so the token was left as it is/)
    expect(await harness.client.keys.find({ label: 'K4_AES' })).toEqual([])
  })
})

describe.each(['/crypto/store-key', '/store-key'])('PUT %s', (path) => {
  it('replaces the key, and the old one is gone', async () => {
    const [old, fresh] = [randomBytes(32), randomBytes(32)]
    await harness.post(path, key(old))
    expect(await decrypts(old)).toBe(PLAIN)
    const answer = await harness.put(path, key(fresh))
    expect([answer.status, answer.body]).toEqual([
      200,
      {
        message: 'Key updated successfully',
        handle: expect.any(Number) as number,
        key_label: 'K4_AES',
        cipher_key: '',
      },
    ])
    expect(await decrypts(fresh)).toBe(PLAIN)
    expect(await decrypts(old)).not.toBe(PLAIN)
    const found = await harness.client.keys.find({ label: 'K4_AES' })
    expect(found.map(({ id }) => id.toString('hex'))).toEqual(['00000004'])
  })

  it('replaces one of several keys, of another length, many times', async () => {
    await harness.post(path, key(randomBytes(32)))
    const other = randomBytes(16)
    await harness.post(path, key(other, { id: 5 }))
    for (const bytes of [16, 32, 16]) {
      const value = randomBytes(bytes)
      expect((await harness.put(path, key(value))).status).toBe(200)
      expect(await decrypts(value)).toBe(PLAIN)
    }
    expect(await decrypts(other, { id: 5 })).toBe(PLAIN)
    expect(await harness.client.keys.find({ label: 'K4_AES' })).toHaveLength(2)
  })

  it('gives the new value back under SSM_ENC_KEY', async () => {
    const own = randomBytes(32)
    await importKey(harness.client, { label: 'SSM_ENC_KEY', id: 1, value: own })
    await harness.post(path, key(randomBytes(32)))
    const value = randomBytes(32)
    const bytes = Buffer.from(String((await harness.put(path, key(value))).body.cipher_key), 'hex')
    const decipher = createDecipheriv('aes-256-cbc', own, bytes.subarray(0, 16))
    expect(Buffer.concat([decipher.update(bytes.subarray(16)), decipher.final()])).toEqual(value)
  })

  it('makes no key where there is none, and takes id 0 for no other than 0', async () => {
    await harness.post(path, key(randomBytes(32), { id: 5 }))
    expectProblem(await harness.put(path, key(randomBytes(32))), 404, 'KEY_NOT_FOUND', path)
    expectProblem(await harness.put(path, key(randomBytes(32), { id: 0 })), 404, 'KEY_NOT_FOUND', path)
    expect(await harness.client.keys.find({ label: 'K4_AES' })).toHaveLength(1)
  })

  it('is KEY_AMBIGUOUS where two keys have the id', async () => {
    for (const id of [Buffer.from([4]), 4])
      await importKey(harness.client, { label: 'K4_AES', id, value: randomBytes(32) })
    expectProblem(await harness.put(path, key(randomBytes(32))), 409, 'KEY_AMBIGUOUS', path)
  })

  it('goes on where an earlier update broke off, before the old key was gone or after', async () => {
    const [old, lost] = [randomBytes(32), randomBytes(32)]
    const waiting = Buffer.from('ssm:new:\0\0\0\x04', 'latin1')
    await harness.post(path, key(old))
    await importKey(harness.client, { label: 'K4_AES', id: waiting, value: lost, encrypt: false })
    expect(await decrypts(old)).toBe(PLAIN)
    await harness.client.keys.destroy({ label: 'K4_AES', id: 4 })
    expect(await decrypts(lost)).toBe(PLAIN)

    await importKey(harness.client, { label: 'K4_AES', id: 4, value: old, encrypt: false })
    for (const value of [randomBytes(32), randomBytes(32)]) {
      expect((await harness.put(path, key(value))).status).toBe(200)
      expect(await decrypts(value)).toBe(PLAIN)
      expect(await harness.client.keys.find({ label: 'K4_AES' })).toHaveLength(1)
      const [only] = await harness.client.keys.find({ label: 'K4_AES' })
      await harness.client.keys.update({ label: 'K4_AES', id: only?.id }, { CKA_ID: waiting })
    }
    expect((await harness.delete(path, { key_label: 'K4_AES', id: 4 })).status).toBe(200)
    expect(await harness.client.keys.find({ label: 'K4_AES' })).toEqual([])
  })
})

describe.each(['/crypto/store-key', '/store-key'])('DELETE %s', (path) => {
  it('destroys the key that is named, and no other', async () => {
    const other = randomBytes(32)
    await harness.post(path, key(randomBytes(32)))
    await harness.post(path, key(other, { id: 5 }))
    const answer = await harness.delete(path, { key_label: 'K4_AES', id: 4 })
    expect([answer.status, answer.body]).toEqual([200, { message: 'Key deleted successfully', key_label: 'K4_AES' }])
    expect(await decrypts(other, { id: 5 })).toBe(PLAIN)
    expectProblem(await harness.delete(path, { key_label: 'K4_AES', id: 4 }), 404, 'KEY_NOT_FOUND', path)
  })

  it('destroys internal keys, and those of the operator', async () => {
    for (const key_label of ['KEY_ENCRYPTION_AES256', 'my own']) {
      await importKey(harness.client, { label: key_label, id: 1, value: randomBytes(32) })
      expect((await harness.delete(path, { key_label, id: 1 })).status).toBe(200)
    }
    expect(await harness.client.keys.find()).toEqual([])
  })

  it('takes id 0 for no other than 0: what is destroyed has to be named', async () => {
    await harness.post(path, key(randomBytes(32)))
    expectProblem(await harness.delete(path, { key_label: 'K4_AES', id: 0 }), 404, 'KEY_NOT_FOUND', path)
    await importKey(harness.client, { label: 'unnamed', id: Buffer.alloc(0), value: randomBytes(32) })
    expect((await harness.delete(path, { key_label: 'unnamed', id: 0 })).status).toBe(200)
  })

  it('destroys what an update that broke off has left, which would take the key’s place', async () => {
    await harness.post(path, key(randomBytes(32)))
    const waiting = Buffer.from('ssm:new:\0\0\0\x04', 'latin1')
    await importKey(harness.client, { label: 'K4_AES', id: waiting, value: randomBytes(32) })
    expect((await harness.delete(path, { key_label: 'K4_AES', id: 4 })).status).toBe(200)
    expect(await harness.client.keys.find()).toEqual([])
  })

  it('does not touch the service’s own keys', async () => {
    for (const key_label of RESERVED) {
      await importKey(harness.client, { label: key_label, id: 1, value: randomBytes(32) })
      for (const id of [0, 1]) {
        expectProblem(await harness.delete(path, { key_label, id }), 400, 'VALIDATION_FAILED', path)
      }
    }
    expect(await harness.client.keys.find()).toHaveLength(RESERVED.length)
  })
})

describe('a key that is stored or updated', () => {
  const path = '/crypto/store-key'
  const send = (method: 'post' | 'put', more: object) => harness[method](path, key(randomBytes(32), more))

  it.each(['post', 'put'] as const)('by %s must have a label of an external key', async (method) => {
    for (const key_label of [...RESERVED, 'KEY_ENCRYPTION_AES256', 'my own', 'k4_aes', 'K4_AES ', '__proto__']) {
      await importKey(harness.client, { label: key_label, id: 4, value: randomBytes(32) })
      expectProblem(await send(method, { key_label }), 400, 'UNSUPPORTED_KEY_TYPE', path)
    }
  })

  it.each(['post', 'put'] as const)('by %s must be of the type that its label says', async (method) => {
    for (const key_type of ['DES', 'DES3', 'aes', 'AES256', '', 'RSA']) {
      expectProblem(await send(method, { key_type }), 400, 'INVALID_KEY_TYPE', path)
    }
    expectProblem(await send(method, { key_label: 'K4_DES3' }), 400, 'INVALID_KEY_TYPE', path)
  })

  it.each([
    ['K4_AES', 'AES', [0, 1, 15, 17, 24, 31, 33, 64]],
    ['K4_DES', 'DES', [0, 7, 9, 16, 24]],
    ['K4_DES3', 'DES3', [0, 8, 16, 23, 25, 32]],
  ])('under %s must be as long as its type has it', async (key_label, key_type, lengths) => {
    for (const length of lengths) {
      for (const method of ['post', 'put'] as const) {
        const key_value = '5a'.repeat(length)
        const answer = await send(method, { key_label, key_type, key_value })
        expectProblem(answer, 400, 'INVALID_KEY_SIZE', path)
        expect(answer.body.detail).toMatch(new RegExp(`^key_value: got ${length} bytes, expected `))
      }
    }
  })

  it('may be for DES and DES3 without any leave: what it decrypts was encrypted elsewhere', async () => {
    expect((await send('post', { key_label: 'K4_DES', key_type: 'DES', key_value: '0123456789abcdef' })).status).toBe(
      201,
    )
    const value = randomBytes(24)
    const des3 = { key_label: 'K4_DES3', key_type: 'DES3', key_value: value.toString('hex').toUpperCase() }
    expect((await send('post', des3)).status).toBe(201)
    const cipher = createCipheriv('des-ede3-ecb', value, null).setAutoPadding(false)
    const hex = cipher.update(PLAIN, 'hex', 'hex') + cipher.final('hex')
    const decryption = { key_label: 'K4_DES3', id: 4, cipher: hex, iv: '', encryption_algorithm: 4 }
    expect((await harness.post('/crypto/decrypt', decryption)).body).toEqual({ plain: PLAIN })
  })

  it('must not encrypt', async () => {
    await harness.post(path, key(randomBytes(32)))
    const encryption = { key_label: 'K4_AES', plain: PLAIN, encryption_algorithm: 5 }
    expectProblem(await harness.post('/crypto/encrypt', encryption), 400, 'INVALID_KEY_TYPE', '/crypto/encrypt')
  })
})
