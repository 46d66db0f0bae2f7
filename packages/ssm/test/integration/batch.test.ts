import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from 'node:crypto'
import { createWrappedModule, type WrappedModule } from 'testkit'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Answer, decipher, expectProblem, type Harness, importKey, startHarness } from '../harness.js'

interface Result {
  status: number
  body: Record<string, unknown>
}

const token = useSoftHsmToken()
const PATH = '/crypto/batch'
const LABEL = 'KEY_ENCRYPTION_AES256'
const PLAIN = '00112233445566778899aabbccddeeff'
const external = randomBytes(32)
let wrapped: WrappedModule
let harness: Harness
let key: KeyObject

beforeAll(async () => {
  wrapped = createWrappedModule(token)
  harness = await startHarness(
    { ...token, module: wrapped.module },
    { legacyAlgorithms: true },
    { pool: { maxSize: 8, operationTimeoutMs: 1_000 } },
  )
  key = await importKey(harness.client, { label: LABEL, id: 7, value: randomBytes(32) })
  await importKey(harness.client, { label: 'K4_AES', id: 1, value: external, encrypt: false })
})
afterEach(() => wrapped.clear())
afterAll(async () => {
  await harness.close()
  wrapped.remove()
})

async function batch(operations: unknown[], path = PATH): Promise<Result[]> {
  const answer = await harness.post(path, { operations })
  expect(answer.status).toBe(200)
  return answer.body.results as Result[]
}

const encryption = (plain: string) => ({ operation: 'encrypt', key_label: LABEL, plain, encryption_algorithm: 5 })
const decryption = (value: Buffer, plain: string, more = {}) => {
  const cipher = createCipheriv('aes-256-ecb', value, null).setAutoPadding(false)
  const hex = cipher.update(plain, 'hex', 'hex') + cipher.final('hex')
  return { operation: 'decrypt', key_label: 'K4_AES', id: 1, cipher: hex, iv: '', encryption_algorithm: 1, ...more }
}
const opened = ({ body }: Result) => decipher('aes-256-cbc', key, { body } as Answer)

describe.each([PATH, '/batch'])('POST %s', (path) => {
  it('answers each operation as its own route would, in their order', async () => {
    const [encrypted, decrypted, sealed, missing] = await batch(
      [
        encryption(PLAIN),
        decryption(external, PLAIN),
        { operation: 'encrypt-aes-gcm', key_label: LABEL, plain: PLAIN, aad: 'feed' },
        decryption(external, PLAIN, { id: 2 }),
      ],
      path,
    )
    expect(encrypted).toMatchObject({ status: 201, body: { id: 7, ok: true } })
    expect(opened(encrypted!)).toBe(PLAIN)
    expect(decrypted).toEqual({ status: 200, body: { plain: PLAIN } })
    expect(sealed).toMatchObject({ status: 200, body: { id: 7, ok: true } })
    const { cipher, iv, tag } = sealed!.body as { cipher: string; iv: string; tag: string }
    const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(iv, 'hex'), { authTagLength: 16 })
    decipher.setAAD(Buffer.from('feed', 'hex')).setAuthTag(Buffer.from(tag, 'hex'))
    expect(decipher.update(cipher, 'hex', 'hex') + decipher.final('hex')).toBe(PLAIN)
    expect(missing).toMatchObject({ status: 404, body: { error: 'KEY_NOT_FOUND', instance: path } })

    const back = { operation: 'decrypt-aes-gcm', key_label: LABEL, cipher, iv, tag }
    const [good, bad] = await batch([{ ...back, aad: 'feed' }, back], path)
    expect(good).toMatchObject({ status: 200, body: { plain: PLAIN, id: 7, ok: true } })
    expect(bad).toMatchObject({ status: 401, body: { error: 'AUTHENTICATION_FAILED', status: 401 } })
  })
})

it('1,000 mixed operations are each answered with their own data, in few hops', async () => {
  await batch([encryption('00'), decryption(external, PLAIN)])
  const plains = Array.from({ length: 1_000 }, () => randomBytes(16).toString('hex'))
  const { completed } = harness.client.stats().engine
  const results = await batch(
    plains.map((plain, at) => (at % 2 === 0 ? encryption(plain) : decryption(external, plain))),
  )
  const hops = harness.client.stats().engine.completed - completed
  for (const [at, result] of results.entries()) {
    expect(at % 2 === 0 ? opened(result) : result.body.plain).toBe(plains[at])
  }
  // a share for half of the sessions, and what opening those sessions takes
  expect(hops).toBeLessThan(50)
})

it('what is wrong with one operation is that one’s answer, to the letter of its route', async () => {
  const bad = [
    { ...encryption('00'), plain: 'xx' },
    { ...encryption('00'), plain: undefined },
    { ...encryption('00'), plane: '00' },
    { ...encryption('00'), key_label: 'JWT_SIGNING_KEY' },
    { ...encryption('00'), key_label: 'K4_AES' },
    { ...encryption('00'), encryption_algorithm: 9 },
    decryption(external, PLAIN, { iv: '00' }),
    decryption(external, PLAIN, { cipher: 'ab' }),
    decryption(external, PLAIN, { padding: 'pkcs7' }),
    { operation: 'decrypt-aes-gcm', key_label: LABEL, cipher: '', iv: '', tag: '' },
  ]
  const results = await batch(bad.flatMap((operation) => [operation, encryption(PLAIN)]))
  for (const [at, { operation, ...body }] of bad.entries()) {
    const alone = await harness.post(`/crypto/${operation}`, body)
    expect(results[2 * at]).toEqual({ status: alone.status, body: { ...alone.body, instance: PATH } })
    expect(opened(results[2 * at + 1]!)).toBe(PLAIN)
  }
})

it('an operation that there is not is named, with the nearest there is', async () => {
  const results = await batch([{}, { operation: 5 }, { operation: 'encript' }, { operation: '__proto__' }])
  for (const result of results) {
    expect(result).toMatchObject({ status: 400, body: { error: 'VALIDATION_FAILED' } })
    expect(result.body.detail).toMatch(/^operation: got .*, expected one of encrypt, decrypt, encrypt-aes-gcm, decrypt/)
  }
  expect(results[2]?.body.detail).toMatch(/; did you mean encrypt\?$/)
})

it.each([
  [[], /^operations: got 0 of them, expected at least 1$/],
  [Array.from({ length: 1_001 }, () => ({})), /^operations: got 1001 of them, expected at most 1000$/],
  [['encrypt'], /^operations\/0: got a text, expected a JSON object$/],
])('a batch of the wrong form is refused as a whole', async (operations, detail) => {
  const answer = await harness.post(PATH, { operations })
  expectProblem(answer, 400, 'VALIDATION_FAILED', PATH)
  expect(answer.body.detail).toMatch(detail)
})

it('what fails on the token’s side is that operation’s answer, and told to the operator', async () => {
  await batch([encryption('00')])
  harness.failures.length = 0
  wrapped.fail('C_EncryptInit', 'CKR_GENERAL_ERROR', { times: 1 })
  const results = await batch([encryption(PLAIN), encryption(PLAIN)])
  expect(results.map(({ status }) => status).sort()).toEqual([201, 500])
  expect(harness.failures).toMatchObject([{ code: 'ENCRYPTION_ERROR' }])
})

it('keys that come and go meanwhile are looked for again', async () => {
  const value = randomBytes(32)
  await importKey(harness.client, { label: 'K4_AES', id: 5, value, encrypt: false })
  // made by somebody else, so it is not on the list that is remembered
  const [late] = await batch([decryption(value, PLAIN, { id: 5 })])
  expect(late).toEqual({ status: 200, body: { plain: PLAIN } })
  await harness.client.keys.destroy({ label: 'K4_AES', id: 5 })
  const [gone, still] = await batch([decryption(value, PLAIN, { id: 5 }), decryption(external, PLAIN)])
  expect(gone).toMatchObject({ status: 404, body: { error: 'KEY_NOT_FOUND' } })
  expect(still).toEqual({ status: 200, body: { plain: PLAIN } })
})

it('a key that is replaced while the batch is on its way decrypts nothing with the new one', async () => {
  const [old, fresh] = [randomBytes(32), randomBytes(32)]
  const store = (value: Buffer) => ({ key_label: 'K4_AES', id: 6, key_value: value.toString('hex'), key_type: 'AES' })
  await harness.post('/crypto/store-key', store(old))
  const request = decryption(old, PLAIN, { id: 6 })
  expect(await batch([request])).toEqual([{ status: 200, body: { plain: PLAIN } }])
  harness.client.keys.forget()
  wrapped.hang('C_FindObjectsInit', { times: 1 })
  const answers = batch([request])
  await expect.poll(() => wrapped.hanging()).toBe(1)
  await harness.put('/crypto/store-key', store(fresh))
  wrapped.release()
  expect(await answers).toMatchObject([{ status: 404, body: { error: 'KEY_NOT_FOUND' } }])
  expect(await batch([decryption(fresh, PLAIN, { id: 6 })])).toEqual([{ status: 200, body: { plain: PLAIN } }])
})
