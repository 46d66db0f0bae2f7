import type * as Crypto from 'node:crypto'
import { createCipheriv, type ScryptOptions } from 'node:crypto'
import { createWrappedModule } from 'testkit'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type AuthHarness, startAuthHarness } from '../auth-harness.js'
import { type Harness, importKey, startHarness } from '../harness.js'

/** What each hash of a password was asked to cost. */
const hashes = vi.hoisted((): object[] => [])

vi.mock('node:crypto', async (original) => {
  const crypto = await original<typeof Crypto>()
  const scrypt = (
    password: string,
    salt: Buffer,
    length: number,
    options: ScryptOptions,
    done: (error: Error | null, key: Buffer) => void,
  ) => {
    hashes.push({ salt: salt.length, length, ...options })
    crypto.scrypt(password, salt, length, options, done)
  }
  return { ...crypto, scrypt }
})

const hsm = useSoftHsmToken()

/** What others can measure is the work that is done; that it is the same can be counted, and time cannot without chance. */
describe('a login that fails', () => {
  let harness: AuthHarness
  let password: string

  beforeAll(async () => {
    harness = await startAuthHarness(hsm)
    await harness.add('there', 'udm')
    password = await harness.add('disabled', 'udm')
    await harness.accounts.disable('disabled')
  })
  afterAll(() => harness.close())

  it('costs one hash of the same cost and one look at the store, and reads the same, whatever is wrong', async () => {
    const credentials = vi.spyOn(Object.getPrototypeOf(harness.accounts) as typeof harness.accounts, 'credentials')
    const seen = []
    for (const login of [
      { service_id: 'there', password: 'wrong' },
      { service_id: 'nobody', password: 'wrong' },
      { service_id: 'disabled', password },
      { service_id: 'disabled', password: 'wrong' },
      { service_id: 'no account has a name like this: / "', password: 'wrong' },
      { service_id: 'there', password: 'x'.repeat(1024) },
    ]) {
      hashes.length = 0
      credentials.mockClear()
      const { status, body, headers } = await harness.ask('POST', '/login', undefined, login)
      const { 'x-request-id': _, date: __, ...alike } = headers
      seen.push({ status, body, headers: alike, hashes: [...hashes], asked: credentials.mock.calls.length })
    }
    credentials.mockRestore()
    expect(seen[0]).toMatchObject({
      status: 401,
      body: { error: 'invalid user' },
      hashes: [{ N: 2 ** 15, r: 8, p: 3, salt: 16, length: 32 }],
      asked: 1,
    })
    for (const each of seen) expect(withoutRate(each)).toEqual(withoutRate(seen[0]!))
  })

  /** How many requests an address has left goes down with each of them, whoever it asks about. */
  function withoutRate<T extends { headers: Record<string, unknown> }>(answer: T): T {
    const headers = Object.entries(answer.headers).filter(([name]) => !name.startsWith('ratelimit-'))
    return { ...answer, headers: Object.fromEntries(headers) }
  }
})

describe('a decryption that fails for its data', () => {
  const VALUE = Buffer.alloc(32, 7)
  const IV = Buffer.alloc(16, 9)
  const FUNCTIONS = ['C_DecryptInit', 'C_Decrypt', 'C_OpenSession', 'C_CloseSession', 'C_FindObjectsInit'] as const
  const wrapped = createWrappedModule(hsm)
  let harness: Harness

  beforeAll(async () => {
    harness = await startHarness(
      { module: wrapped.module, label: hsm.label, pinFile: hsm.pinFile },
      {},
      { pool: { minSize: 1, maxSize: 1 } },
    )
    await importKey(harness.client, { label: 'KEY_ENCRYPTION_AES256', id: 1, value: VALUE })
  })
  afterAll(async () => {
    await harness.close()
    wrapped.remove()
  })

  const encipher = (block: string) => {
    const cipher = createCipheriv('aes-256-cbc', VALUE, IV).setAutoPadding(false)
    return cipher.update(block, 'hex', 'hex') + cipher.final('hex')
  }
  /** Looks again with each turn of the loop until something is so; the test's own time limit is the limit. */
  async function until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise((resolve) => setImmediate(resolve))
  }
  /** Calls of the token that a request makes, beside its answer. */
  async function watch(url: string, body: object) {
    const before = FUNCTIONS.map((name) => wrapped.calls(name))
    const answer = await harness.post(url, body)
    const count = () => Object.fromEntries(FUNCTIONS.map((name, at) => [name, wrapped.calls(name) - before[at]!]))
    // a session that was given up is replaced meanwhile
    await until(() => harness.client.stats().available === 1 && count().C_OpenSession === count().C_CloseSession)
    const calls = count()
    const { 'x-request-id': _, date: __, ...headers } = answer.headers
    return { status: answer.status, text: answer.text, headers, calls }
  }

  it('has the token do the same, and reads the same, whatever is wrong with the padding', async () => {
    const decrypt = (cipher: string) =>
      watch('/crypto/decrypt', {
        key_label: 'KEY_ENCRYPTION_AES256',
        id: 1,
        cipher,
        iv: IV.toString('hex'),
        encryption_algorithm: 5,
      })
    const good = await decrypt(encipher('10'.repeat(16)))
    expect(good).toMatchObject({ status: 200, text: '{"plain":""}' })
    const bad = []
    for (const block of [
      '00'.repeat(16),
      '11'.repeat(16),
      'ff'.repeat(16),
      `${'00'.repeat(14)}0102`,
      `${'00'.repeat(13)}020303`,
      `00${'10'.repeat(15)}`,
      `${'00'.repeat(15)}00`,
    ]) {
      bad.push(await decrypt(encipher('aa'.repeat(16) + block)))
    }
    expect(bad[0]).toMatchObject({ status: 500, calls: { C_DecryptInit: 1, C_Decrypt: 1, C_FindObjectsInit: 0 } })
    for (const each of bad) expect(each).toEqual(bad[0])
  })

  it('of AES-GCM too, whatever was changed', async () => {
    const plain = '00'.repeat(32)
    const { body } = await harness.post('/crypto/encrypt-aes-gcm', {
      key_label: 'KEY_ENCRYPTION_AES256',
      plain,
      aad: 'ab',
    })
    const { cipher, iv, tag } = body as { cipher: string; iv: string; tag: string }
    const decrypt = (changes: object) =>
      watch('/crypto/decrypt-aes-gcm', {
        key_label: 'KEY_ENCRYPTION_AES256',
        id: 1,
        cipher,
        iv,
        tag,
        aad: 'ab',
        ...changes,
      })
    const flip = (hex: string, at: number) => {
      const bytes = Buffer.from(hex, 'hex')
      bytes[at]! ^= 1
      return bytes.toString('hex')
    }
    expect((await decrypt({})).status).toBe(200)
    const bad = []
    for (const changes of [
      { tag: flip(tag, 0) },
      { tag: flip(tag, 15) },
      { cipher: flip(cipher, 0) },
      { cipher: flip(cipher, 31) },
      { iv: flip(iv, 5) },
      { aad: 'ac' },
      { aad: '' },
    ]) {
      bad.push(await decrypt(changes))
    }
    expect(bad[0]).toMatchObject({ status: 401, calls: { C_DecryptInit: 1 } })
    for (const each of bad) expect(each).toEqual(bad[0])
  })
})
