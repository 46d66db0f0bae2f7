import { randomBytes } from 'node:crypto'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { expectProblem, type Harness, importKey, startHarness } from '../harness.js'

const token = useSoftHsmToken()
const RESERVED = [
  'SSM_ENC_KEY',
  'ENCRYPTION_KEY_INTERNAL_AES256',
  'ENCRYPTION_KEY_INTERNAL_AES128',
  'AUDIT_SIGNING_KEY',
  'JWT_SIGNING_KEY',
]
const ODD_LABEL = 'a line\nbreak, "quotes" and ü'
let harness: Harness

beforeAll(async () => {
  harness = await startHarness(token, { legacyAlgorithms: true })
  await harness.post('/crypto/generate-aes-key', { id: 2, bits: 256 })
  await harness.post('/crypto/generate-aes-key', { id: 1, bits: 256 })
  await harness.post('/crypto/generate-aes-key', { id: 9, bits: 128 })
  await harness.post('/crypto/generate-des-key', { id: 1 })
  await harness.post('/crypto/generate-des3-key', { id: 1 })
  for (const label of RESERVED) await importKey(harness.client, { label, id: 1, value: randomBytes(32) })
  await importKey(harness.client, { label: ODD_LABEL, id: Buffer.from([1, 0]), value: randomBytes(16) })
  await importKey(harness.client, { label: '__proto__', id: 1, value: randomBytes(16) })
  // what clients cannot name, and what only waits to take another's place
  await importKey(harness.client, { label: 'KEY_ENCRYPTION_AES128', id: Buffer.alloc(5, 1), value: randomBytes(16) })
  const waiting = Buffer.from('ssm:new:\0\0\0\x09', 'latin1')
  await importKey(harness.client, { label: 'KEY_ENCRYPTION_AES128', id: waiting, value: randomBytes(16) })
})
afterAll(() => harness.close())

const info = (id: number, size_bits: number) => ({ handle: expect.any(Number) as number, id, size_bits })

describe.each(['/crypto/get-key', '/get-key'])('POST %s', (path) => {
  it.each([
    ['KEY_ENCRYPTION_AES256', 2, 256],
    ['KEY_ENCRYPTION_AES128', 9, 128],
    ['KEY_ENCRYPTION_DES', 1, 64],
    ['KEY_ENCRYPTION_DES3', 1, 192],
    [ODD_LABEL, 256, 128],
  ])('tells of a key under %s its id, size and handle', async (key_label, id, bits) => {
    const answer = await harness.post(path, { key_label, id })
    expect([answer.status, answer.body]).toEqual([200, { key_info: info(id, bits) }])
  })

  it('takes id 0 for the only key under the label', async () => {
    expect((await harness.post(path, { key_label: 'KEY_ENCRYPTION_AES128', id: 0 })).body).toEqual({
      key_info: info(9, 128),
    })
    expectProblem(await harness.post(path, { key_label: 'KEY_ENCRYPTION_AES256', id: 0 }), 409, 'KEY_AMBIGUOUS', path)
  })

  it('answers 404 where there is no such key, as generated clients have it', async () => {
    expectProblem(await harness.post(path, { key_label: 'KEY_ENCRYPTION_AES256', id: 3 }), 404, 'KEY_NOT_FOUND', path)
    expectProblem(await harness.post(path, { key_label: 'none', id: 0 }), 404, 'KEY_NOT_FOUND', path)
  })

  it('does not tell of the service’s own keys', async () => {
    for (const key_label of RESERVED) {
      for (const id of [0, 1]) {
        expectProblem(await harness.post(path, { key_label, id }), 400, 'VALIDATION_FAILED', path)
      }
    }
  })
})

describe.each(['/crypto/get-data-keys', '/get-data-keys'])('POST %s', (path) => {
  it('tells of every key under a label, by id', async () => {
    const answer = await harness.post(path, { key_label: 'KEY_ENCRYPTION_AES256' })
    expect([answer.status, answer.body]).toEqual([200, { keys: [info(1, 256), info(2, 256)] }])
    expect((await harness.post(path, { key_label: 'KEY_ENCRYPTION_AES128' })).body).toEqual({ keys: [info(9, 128)] })
  })

  it('answers an empty array for a label without keys', async () => {
    const answer = await harness.post(path, { key_label: 'K4_AES' })
    expect([answer.status, answer.text]).toEqual([200, '{"keys":[]}'])
  })

  it('does not tell of the service’s own keys', async () => {
    for (const key_label of RESERVED) {
      expectProblem(await harness.post(path, { key_label }), 400, 'VALIDATION_FAILED', path)
    }
  })
})

describe.each(['/crypto/get-all-keys', '/get-all-keys'])('POST %s', (path) => {
  const everything = {
    keys_by_label: Object.fromEntries([
      ['KEY_ENCRYPTION_AES256', [info(1, 256), info(2, 256)]],
      ['KEY_ENCRYPTION_AES128', [info(9, 128)]],
      ['KEY_ENCRYPTION_DES', [info(1, 64)]],
      ['KEY_ENCRYPTION_DES3', [info(1, 192)]],
      [ODD_LABEL, [info(256, 128)]],
      ['__proto__', [info(1, 128)]],
    ]),
    total_keys: 7,
    total_labels: 6,
  }

  it('tells of every key but the service’s own, asked without a body and without a content type', async () => {
    const answer = await harness.app.inject({ method: 'POST', url: path })
    expect([answer.statusCode, JSON.parse(answer.body)]).toEqual([200, everything])
    for (const label of RESERVED) expect(answer.body).not.toContain(label)
  })

  it.each(['', '{}', 'null'])('is the same with a content type and the body %j', async (payload) => {
    const headers = { 'content-type': 'application/json' }
    const answer = await harness.app.inject({ method: 'POST', url: path, headers, payload })
    expect([answer.statusCode, JSON.parse(answer.body)]).toEqual([200, everything])
  })

  it('refuses members, and what is no JSON', async () => {
    expectProblem(await harness.post(path, { key_label: 'k' }), 400, 'VALIDATION_FAILED', path)
    expectProblem(await harness.post(path, '[]'), 400, 'VALIDATION_FAILED', path)
    expectProblem(await harness.post(path, '{'), 400, 'INVALID_JSON', path)
    expectProblem(await harness.post(path, '{"__proto__":{}}'), 400, 'INVALID_JSON', path)
  })
})
