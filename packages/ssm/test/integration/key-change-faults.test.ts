import { createCipheriv, randomBytes } from 'node:crypto'
import { createWrappedModule, type WrappedModule } from 'testkit'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { decipher, expectProblem, type Harness, importKey, startHarness } from '../harness.js'

const token = useSoftHsmToken()
const PATH = '/crypto/store-key'
const PLAIN = '00112233445566778899aabbccddeeff'
let wrapped: WrappedModule
let harness: Harness
let old: Buffer

beforeAll(async () => {
  wrapped = createWrappedModule(token)
  harness = await startHarness(
    { ...token, module: wrapped.module },
    {},
    // a second is far above what a good answer takes and what a hanging call costs this file
    { pool: { maxSize: 4, minSize: 1, operationTimeoutMs: 1_000 } },
  )
})
beforeEach(async () => {
  old = randomBytes(32)
  await harness.post(PATH, key(old))
})
afterEach(async () => {
  wrapped.clear()
  for (const { label, id } of await harness.client.keys.find()) await harness.client.keys.destroy({ label, id })
})
afterAll(async () => {
  await harness.close()
  wrapped.remove()
})

const key = (value: Buffer, id = 4) => ({ key_label: 'K4_AES', id, key_value: value.toString('hex'), key_type: 'AES' })
const keysThere = async () => (await harness.client.keys.find({ label: 'K4_AES' })).length

function decryption(value: Buffer) {
  const cipher = createCipheriv('aes-256-ecb', value, null).setAutoPadding(false)
  const hex = cipher.update(PLAIN, 'hex', 'hex') + cipher.final('hex')
  return { key_label: 'K4_AES', id: 4, cipher: hex, iv: '', encryption_algorithm: 1 }
}

async function decrypts(value: Buffer): Promise<boolean> {
  return (await harness.post('/crypto/decrypt', decryption(value))).body.plain === PLAIN
}

describe('an update that the token fails', () => {
  const fresh = randomBytes(32)

  it('at making the new key leaves the old one in use, and says so', async () => {
    wrapped.fail('C_CreateObject', 'CKR_TEMPLATE_INCONSISTENT')
    const answer = await harness.put(PATH, key(fresh))
    expectProblem(answer, 500, 'KEY_UPDATE_ERROR', PATH)
    expect(answer.body.detail).toMatch(/; the old key stays in use$/)
    expect(await decrypts(old)).toBe(true)
    expect(await keysThere()).toBe(1)
  })

  it('at removing the old key leaves that in use, says so, and takes the new one away again', async () => {
    wrapped.fail('C_DestroyObject', 'CKR_FUNCTION_REJECTED', { times: 1 })
    const answer = await harness.put(PATH, key(fresh))
    expectProblem(answer, 500, 'KEY_UPDATE_ERROR', PATH)
    expect(answer.body.detail).toMatch(/; the old key stays in use$/)
    expect(await decrypts(old)).toBe(true)
    expect(await keysThere()).toBe(1)
  })

  it('at removing any key leaves the old one in use, and the next update is none the worse for it', async () => {
    wrapped.fail('C_DestroyObject', 'CKR_FUNCTION_REJECTED')
    expectProblem(await harness.put(PATH, key(fresh)), 500, 'KEY_UPDATE_ERROR', PATH)
    expect(await decrypts(old)).toBe(true)
    wrapped.clear()
    const next = randomBytes(32)
    expect((await harness.put(PATH, key(next))).status).toBe(200)
    expect(await decrypts(next)).toBe(true)
    expect(await keysThere()).toBe(1)
  })

  it('to answer when the old key is removed has the old one serve while it is there, and then the new one', async () => {
    wrapped.hang('C_DestroyObject', { times: 1 })
    const answer = await harness.put(PATH, key(fresh))
    expectProblem(answer, 504, 'HSM_TIMEOUT', PATH)
    expect(answer.body.detail).toMatch(/; the old key stays in use while it is there, and then the new one$/)
    expect(await decrypts(old)).toBe(true)
    wrapped.release()
    await expect.poll(() => decrypts(fresh)).toBe(true)
    expect(await decrypts(old)).toBe(false)
    const next = randomBytes(32)
    expect((await harness.put(PATH, key(next))).status).toBe(200)
    expect(await decrypts(next)).toBe(true)
    expect(await keysThere()).toBe(1)
  })

  it('at giving the new key its id is done all the same, and the next update makes that good', async () => {
    wrapped.fail('C_SetAttributeValue', 'CKR_ATTRIBUTE_READ_ONLY')
    expect((await harness.put(PATH, key(fresh))).status).toBe(200)
    expect([await decrypts(fresh), await decrypts(old)]).toEqual([true, false])
    expect((await harness.post('/crypto/get-data-keys', { key_label: 'K4_AES' })).body.keys).toMatchObject([{ id: 4 }])
    const next = randomBytes(32)
    expect((await harness.put(PATH, key(next))).status).toBe(200)
    expect(await decrypts(next)).toBe(true)
    const found = await harness.client.keys.find({ label: 'K4_AES' })
    expect(found.map(({ id }) => id.toString('hex'))).toEqual(['00000004'])
  })

  it('at removing a key that could never be given its id says that the new one is in use', async () => {
    wrapped.fail('C_SetAttributeValue', 'CKR_ATTRIBUTE_READ_ONLY')
    expect((await harness.put(PATH, key(fresh))).status).toBe(200)
    wrapped.fail('C_DestroyObject', 'CKR_FUNCTION_REJECTED')
    const next = randomBytes(32)
    const answer = await harness.put(PATH, key(next))
    expectProblem(answer, 500, 'KEY_UPDATE_ERROR', PATH)
    expect(answer.body.detail).toMatch(/; the new key is in use, and the old one could not be removed$/)
    expect(await decrypts(next)).toBe(true)
  })
})

describe('a token that fails', () => {
  it('to take a key is KEY_STORAGE_ERROR, and the next attempt is not held up', async () => {
    wrapped.fail('C_CreateObject', 'CKR_ATTRIBUTE_VALUE_INVALID', { times: 1 })
    const answers = await Promise.all([5, 6].map((id) => harness.post(PATH, key(randomBytes(32), id))))
    expect(answers.map(({ status }) => status)).toEqual([500, 201])
    expect(answers[0]?.body.error).toBe('KEY_STORAGE_ERROR')
  })

  it('to delete a key is KEY_DELETION_ERROR, and the key goes on to serve', async () => {
    wrapped.fail('C_DestroyObject', 'CKR_FUNCTION_REJECTED')
    expectProblem(await harness.delete(PATH, { key_label: 'K4_AES', id: 4 }), 500, 'KEY_DELETION_ERROR', PATH)
    wrapped.clear()
    expect(await decrypts(old)).toBe(true)
  })

  it('to answer to a deletion is HSM_TIMEOUT: what became of the key is unknown', async () => {
    wrapped.hang('C_DestroyObject', { times: 1 })
    expectProblem(await harness.delete(PATH, { key_label: 'K4_AES', id: 4 }), 504, 'HSM_TIMEOUT', PATH)
    wrapped.release()
    await expect.poll(keysThere).toBe(0)
  })

  it.each(['/crypto/get-key', '/crypto/get-data-keys', '/crypto/get-all-keys'])(
    'to search for %s is KEY_GET_ERROR',
    async (path) => {
      wrapped.fail('C_FindObjectsInit', 'CKR_GENERAL_ERROR')
      const body = {
        '/crypto/get-key': { key_label: 'K4_AES', id: 4 },
        '/crypto/get-data-keys': { key_label: 'K4_AES' },
      }[path]
      expectProblem(await harness.post(path, body), 500, 'KEY_GET_ERROR', path)
    },
  )

  it('to make the copy in time stores nothing', async () => {
    await importKey(harness.client, { label: 'SSM_ENC_KEY', id: 1, value: randomBytes(32) })
    wrapped.hang('C_Encrypt', { times: 1 })
    expectProblem(await harness.post(PATH, key(randomBytes(32), 9)), 504, 'HSM_TIMEOUT', PATH)
    wrapped.release()
    expect(await keysThere()).toBe(1)
  })
})

describe('a request that is held up on its way to the token while its key is', () => {
  /** Has the request look its key's handle up, and holds it there until `change` is done. */
  async function heldUp<T>(request: () => Promise<T>, change: () => Promise<unknown>): Promise<T> {
    harness.client.keys.forget()
    wrapped.hang('C_FindObjectsInit', { times: 1 })
    const answer = request()
    await expect.poll(() => wrapped.hanging()).toBe(1)
    await change()
    wrapped.release()
    return answer
  }

  const rotate = async (value: Buffer) => {
    await harness.delete(PATH, { key_label: 'K4_AES', id: 4 })
    await harness.post(PATH, key(value))
  }

  it.each([
    ['deleted and stored again', rotate],
    ['updated', (value: Buffer) => harness.put(PATH, key(value))],
  ])('%s, is not decrypted with the new one: it would answer garbage', async (_what, change) => {
    const fresh = randomBytes(32)
    expect(await decrypts(old)).toBe(true)
    const answer = await heldUp(
      () => harness.post('/crypto/decrypt', decryption(old)),
      () => change(fresh),
    )
    expectProblem(answer, 404, 'KEY_NOT_FOUND', '/crypto/decrypt')
    expect([await decrypts(old), await decrypts(fresh)]).toEqual([false, true])
  })

  it('replaced, is encrypted with the new one: nobody could decrypt it with the old', async () => {
    const label = 'KEY_ENCRYPTION_AES256'
    const encryption = { key_label: label, plain: PLAIN, encryption_algorithm: 5 }
    await importKey(harness.client, { label, id: 1, value: old })
    await harness.post('/crypto/encrypt', encryption)
    const value = randomBytes(32)
    let fresh: Awaited<ReturnType<typeof importKey>> | undefined
    const answer = await heldUp(
      () => harness.post('/crypto/encrypt', encryption),
      async () => {
        await harness.delete(PATH, { key_label: label, id: 1 })
        fresh = await importKey(harness.client, { label, id: 1, value })
      },
    )
    expect(answer.status).toBe(201)
    expect(decipher('aes-256-cbc', fresh!, answer)).toBe(PLAIN)
  })
})
