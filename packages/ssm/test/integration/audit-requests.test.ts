import { sql } from 'kysely'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { AuditLog } from '../../src/audit/audit-log.js'
import { AuditStore } from '../../src/audit/audit-store.js'
import { type AuthHarness, startAuthHarness } from '../auth-harness.js'

const hsm = useSoftHsmToken({ keys: [{ label: 'KEY_ENCRYPTION_AES256' }] })
const encryptRequest = { key_label: 'KEY_ENCRYPTION_AES256', plain: 'c0ffee', encryption_algorithm: 5 }
const decryptRequest = { key_label: 'K4_AES', id: 3, cipher: '00'.repeat(16), iv: '', encryption_algorithm: 1 }
let harness: AuthHarness
let log: AuditLog
let password: string
let token: string

beforeAll(async () => {
  harness = await startAuthHarness(hsm, async (client, store, kept) => {
    log = await AuditLog.open({ store: new AuditStore(store), client, kept, chain: 'main', onFailure: () => {} })
    return { log, failClosed: 'changes' }
  })
  password = await harness.add('console', 'webconsole')
  token = await harness.token('console', password)
  const key = { key_label: 'K4_AES', id: 3, key_value: '11'.repeat(32), key_type: 'AES' }
  await harness.ask('POST', '/crypto/store-key', token, key)
})
afterAll(async () => {
  await log.close()
  await harness.close()
})

/** The entries since the last call. */
let seen = 0
async function newEntries(): Promise<Record<string, unknown>[]> {
  await log.recordDurably({ ...(await lastEvent()), action: 'MARK' })
  const rows = await harness.store
    .selectFrom('audit_entries')
    .selectAll()
    .where('seq', '>', seen)
    .orderBy('seq')
    .execute()
  seen = rows.at(-1)?.seq ?? seen
  return rows.map(({ entry }) => JSON.parse(entry) as Record<string, unknown>).filter(({ action }) => action !== 'MARK')
}
const lastEvent = async () => ({
  time: new Date().toISOString(),
  account: null,
  keyLabel: null,
  keyId: null,
  address: null,
  status: null,
  requestId: null,
  durationUs: null,
  error: null,
  count: null,
})

describe('a request leaves one entry', () => {
  it('that says who did what with which key, from where and with what outcome', async () => {
    await newEntries()
    const { body, headers } = await harness.ask('POST', '/crypto/encrypt', token, encryptRequest)
    const entries = await newEntries()
    expect(entries).toEqual([
      {
        chain: 'main',
        seq: expect.any(Number),
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
        account: 'console',
        action: 'ENCRYPT_DATA',
        key_label: 'KEY_ENCRYPTION_AES256',
        key_id: 1,
        address: '127.0.0.1',
        status: 201,
        request_id: headers['x-request-id'],
        duration_us: expect.any(Number),
        error: null,
        count: null,
      },
    ])
    for (const secret of [body.cipher, body.iv, 'c0ffee', token]) {
      expect(JSON.stringify(entries)).not.toContain(secret)
    }
  })

  it('whatever becomes of it', async () => {
    await harness.ask('POST', '/login', undefined, { service_id: 'console', password })
    await harness.ask('POST', '/login', undefined, { service_id: 'console', password: 'wrong' })
    await harness.ask('POST', '/crypto/encrypt', undefined, encryptRequest)
    await harness.ask('POST', '/crypto/encrypt', token, { ...encryptRequest, plain: 'zz' })
    await harness.ask('POST', '/crypto/encrypt', token, { key_label: 'a\nforged entry', extra: 'x' })
    await harness.ask('POST', '/crypto/decrypt', token, { ...encryptRequest, cipher: '00', id: 77, plain: undefined })
    await harness.ask('POST', '/crypto/generate-aes-key', token, { id: 5, bits: 256 })
    await harness.ask('POST', '/crypto/generate-aes-key', token, { id: 5, bits: 256 })
    await harness.ask('GET', '/nothing')
    const shown = (await newEntries()).map(({ action, account, status, error, key_label, key_id }) =>
      [action, account, status, error, key_label, key_id].join(' '),
    )
    expect(shown).toEqual([
      'USER_LOGIN console 200   ',
      'USER_LOGIN  401 UNAUTHORIZED  ',
      'ENCRYPT_DATA  401 UNAUTHORIZED  ',
      'ENCRYPT_DATA console 400 INVALID_HEX KEY_ENCRYPTION_AES256 ',
      'ENCRYPT_DATA console 400 VALIDATION_FAILED  ',
      'DECRYPT_DATA console 404 KEY_NOT_FOUND KEY_ENCRYPTION_AES256 77',
      'GENERATE_AES_KEY console 201  KEY_ENCRYPTION_AES256 5',
      'GENERATE_AES_KEY console 409 KEY_EXISTS KEY_ENCRYPTION_AES256 5',
      'NONE  404 NOT_FOUND  ',
    ])
  })

  it('and of a batch one more for each key and outcome, with how many operations it was', async () => {
    await newEntries()
    const decryption = { operation: 'decrypt', ...decryptRequest }
    const { status, headers } = await harness.ask('POST', '/crypto/batch', token, {
      operations: [
        decryption,
        { ...decryption, id: 77 },
        { ...decryption, id: 0 },
        { ...decryption, cipher: 'zz' },
        { ...decryption, key_label: 'forged', extra: 'x' },
        { ...decryption, id: 77 },
        { operation: 'destroy', key_label: 'forged' },
      ],
    })
    expect(status).toBe(200)
    const entries = await newEntries()
    for (const entry of entries) {
      expect(entry).toMatchObject({ account: 'console', address: '127.0.0.1', request_id: headers['x-request-id'] })
    }
    expect(
      entries.map(({ action, status, error, key_label, key_id, count }) =>
        [action, status, error, key_label, key_id, count].join(' '),
      ),
    ).toEqual([
      'BATCH 200    7',
      'DECRYPT_DATA 200  K4_AES 3 2',
      'DECRYPT_DATA 404 KEY_NOT_FOUND K4_AES 77 2',
      'DECRYPT_DATA 400 INVALID_HEX K4_AES 3 1',
      'DECRYPT_DATA 400 VALIDATION_FAILED   1',
      'NONE 400 VALIDATION_FAILED   1',
    ])
  })

  it('and a batch of a thousand keys is answered when all of them are written', async () => {
    await newEntries()
    const operations = Array.from({ length: 1_000 }, (_, key) => ({
      operation: 'decrypt',
      ...decryptRequest,
      id: key + 1,
    }))
    await harness.ask('POST', '/crypto/batch', token, { operations })
    expect(log.stats().queued).toBe(0)
    const ids = (await newEntries()).filter(({ action }) => action === 'DECRYPT_DATA').map(({ key_id }) => key_id)
    expect(ids).toEqual(operations.map(({ id }) => id))
  })

  it('that names the only key under a label where id 0 meant it', async () => {
    await newEntries()
    await harness.ask('POST', '/crypto/decrypt', token, { ...decryptRequest, id: 0 })
    await harness.ask('POST', '/crypto/get-key', token, { key_label: 'K4_AES', id: 0 })
    expect((await newEntries()).map(({ status, key_id }) => [status, key_id])).toEqual([
      [200, 3],
      [200, 3],
    ])
  })

  it('which of a change of keys is on the disk before its answer, whatever became of it', async () => {
    const last = async () => {
      const { entry } = await harness.store
        .selectFrom('audit_entries')
        .select('entry')
        .orderBy('seq', 'desc')
        .limit(1)
        .executeTakeFirstOrThrow()
      return JSON.parse(entry) as Record<string, unknown>
    }
    const generate = async (id: number) => {
      const { status, headers } = await harness.ask('POST', '/crypto/generate-aes-key', token, { id, bits: 256 })
      expect(await last()).toMatchObject({ status, request_id: headers['x-request-id'], key_id: id })
      return status
    }
    expect(await generate(70)).toBe(201)
    expect(await generate(70)).toBe(409)
    const fails = vi.spyOn(harness.client.keys, 'generate').mockRejectedValueOnce(new Error('the token fails'))
    expect(await generate(71)).toBe(500)
    expect(fails).toHaveBeenCalledTimes(1)
    fails.mockRestore()
  })

  it('that of a failed login says which name was tried, in a bounded piece of printable ASCII', async () => {
    await newEntries()
    const names = ['console', 'nobody', 'a\nforged\u009b\u202eentry \u{1f511}\\u{a}', 'x'.repeat(255)]
    for (const service_id of names) await harness.ask('POST', '/login', undefined, { service_id, password: 'wrong' })
    await harness.ask('POST', '/login', undefined, { service_id: 'console', password })
    await harness.ask('POST', '/login', undefined, { service_id: 'console', pasword: 'wrong' })
    expect((await newEntries()).map(({ account, subject, status }) => [status, account, subject])).toEqual([
      [401, null, 'console'],
      [401, null, 'nobody'],
      [401, null, 'a\\u{a}forged\\u{9b}\\u{202e}entry \\u{1f511}\\u{5c}u{a}'],
      [401, null, 'x'.repeat(64)],
      [200, 'console', undefined],
      [400, null, undefined],
    ])
  })

  it('except for those that anybody may make', async () => {
    await newEntries()
    for (const url of ['/healthz', '/readyz', '/pool/stats', '/.well-known/jwks.json']) await harness.ask('GET', url)
    expect(await newEntries()).toEqual([])
  })
})

describe('while the audit cannot be written', () => {
  const forbid = () =>
    sql`create trigger forbidden before insert on audit_entries begin select raise(abort, 'the disk is full'); end`.execute(
      harness.store,
    )
  const forbidAll = async () => {
    await forbid()
    await sql`create trigger forbidden_too before insert on audit_chains begin select raise(abort, 'the disk is full'); end`.execute(
      harness.store,
    )
  }
  const allow = async () => {
    await sql`drop trigger if exists forbidden`.execute(harness.store)
    await sql`drop trigger if exists forbidden_too`.execute(harness.store)
  }
  afterEach(allow)

  it('no key is changed, others are served, and what could not be written is written when it can be', async () => {
    await newEntries()
    await forbidAll()
    const answer = await harness.ask('POST', '/crypto/generate-aes-key', token, { id: 60, bits: 256 })
    expect([answer.status, answer.body.error, answer.headers['retry-after']]).toEqual([503, 'AUDIT_UNAVAILABLE', '1'])
    expect(await harness.client.keys.find({ label: 'KEY_ENCRYPTION_AES256', id: 60 })).toEqual([])
    expect((await harness.ask('POST', '/crypto/encrypt', token, encryptRequest)).status).toBe(201)
    await allow()
    expect((await harness.ask('POST', '/crypto/generate-aes-key', token, { id: 61, bits: 256 })).status).toBe(201)
    expect((await newEntries()).map(({ action, status }) => `${String(action)} ${String(status)}`)).toEqual([
      'GENERATE_AES_KEY 503',
      'ENCRYPT_DATA 201',
      'GENERATE_AES_KEY 201',
    ])
  })

  it('a change that failed is answered as it failed, and written when it can be', async () => {
    await newEntries()
    await forbid()
    const answer = await harness.ask('POST', '/crypto/generate-aes-key', token, { id: 5, bits: 256 })
    expect([answer.status, answer.body.error]).toEqual([409, 'KEY_EXISTS'])
    await allow()
    expect(await newEntries()).toMatchObject([{ action: 'GENERATE_AES_KEY', key_id: 5, status: 409 }])
  })

  it('from the moment that a key was changed, the change is not called a success', async () => {
    await newEntries()
    await forbid()
    const answer = await harness.ask('POST', '/crypto/generate-aes-key', token, { id: 62, bits: 256 })
    expect([answer.status, answer.body.error]).toEqual([500, 'KEY_CHANGE_UNAUDITED'])
    expect(answer.headers).not.toHaveProperty('retry-after')
    expect(answer.body.detail).toMatch(
      /^the key KEY_ENCRYPTION_AES256 with id 62 was changed as asked, but .*: do not ask for it again/,
    )
    expect(Object.keys(answer.body).toSorted()).toEqual(['detail', 'error', 'instance', 'status', 'title'])
    await allow()
    // it did happen, and the audit says so
    expect(await newEntries()).toMatchObject([{ action: 'GENERATE_AES_KEY', key_id: 62, status: 201 }])
  })
})

// the last, because it ends the application
describe('a request that anybody can make any number of', () => {
  it('leaves an entry of its own only now and then, and the rest are a number', async () => {
    await newEntries()
    const flood = async (authorization: string | undefined, url: string) => {
      for (let asked = 0; asked < 150; asked++) await harness.ask('POST', url, authorization, {})
    }
    await flood(undefined, '/nothing')
    await flood(undefined, '/crypto/encrypt')
    await flood('Basic c29tZWJvZHk6eA==', '/crypto/store-key')
    const written = await newEntries()
    expect(written.length).toBeGreaterThanOrEqual(80)
    expect(written.length).toBeLessThan(150)
    await harness.app.close()
    const [counted] = await newEntries()
    expect(counted).toMatchObject({ action: 'REFUSED', account: null, address: '127.0.0.1', status: null })
    expect(Number(counted?.count)).toBeGreaterThan(300)
  })
})
