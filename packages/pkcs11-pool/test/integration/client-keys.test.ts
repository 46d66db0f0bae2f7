import { createCipheriv } from 'node:crypto'
import { expect, test } from 'vitest'
import type { Client } from '../../src/index.js'
import { rejection } from '../support/rejection.js'
import { aesKey, useWrappedToken } from '../support/wrapped-token.js'

const { module, open } = useWrappedToken([{ label: 'k' }, { label: 'pair', type: 'ec-p256' }])
const iv = Buffer.alloc(16)
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv } as const

/** What a key of 32 times the byte makes of the IV as plaintext. */
function under(byte: number): Buffer {
  const cipher = createCipheriv('aes-256-cbc', Buffer.alloc(32, byte), iv)
  return Buffer.concat([cipher.update(iv), cipher.final()])
}

const searches = (): number => module.calls('C_FindObjectsInit')
const encrypt = (client: Client, label: string) => client.encrypt({ label }, cbc, iv)

async function clean(client: Client, label: string): Promise<void> {
  for (const { id } of await client.keys.find({ label })) await client.keys.destroy({ label, id })
}

test('a key is searched for once, by however many calls at once', async () => {
  const client = await open({ pool: { maxSize: 8 } })
  const before = searches()
  await Promise.all(Array.from({ length: 32 }, () => encrypt(client, 'k')))
  expect(searches() - before).toBe(1)
  await encrypt(client, 'k')
  expect(searches() - before).toBe(1)
  client.keys.forget({ label: 'k' })
  await encrypt(client, 'k')
  expect(searches() - before).toBe(2)
  expect(client.stats().keys).toMatchObject({ cached: 1, misses: expect.any(Number) })
})

test('of two keys with one label, `private` tells the one that took a login to make', async () => {
  const client = await open()
  await client.keys.import(aesKey('twice', 1, Buffer.alloc(32, 1)))
  await client.keys.import({ ...aesKey('twice', 1, Buffer.alloc(32, 2)), CKA_PRIVATE: false })
  const keys = await client.keys.find({ label: 'twice' })
  expect(keys.map((key) => key.private).toSorted()).toEqual([false, true])
  expect(await rejection(encrypt(client, 'twice'))).toMatchObject({ code: 'KEY_AMBIGUOUS' })
  expect(await client.encrypt({ label: 'twice', private: true }, cbc, iv)).toEqual(under(1))
  expect(await client.encrypt({ label: 'twice', private: false }, cbc, iv)).toEqual(under(2))
  await client.keys.destroy({ label: 'twice', private: false })
  expect(await rejection(client.encrypt({ label: 'twice', private: false }, cbc, iv))).toMatchObject({
    code: 'KEY_NOT_FOUND',
    message: expect.stringContaining('label "twice", not private'),
  })
  expect(await encrypt(client, 'twice')).toEqual(under(1))
  await clean(client, 'twice')
})

test('without a cache every call searches', async () => {
  const client = await open({ keys: { cache: false } })
  const before = searches()
  for (let call = 0; call < 3; call += 1) await encrypt(client, 'k')
  expect(searches() - before).toBe(3)
})

test('a handle that has aged is looked at, not searched for', async () => {
  const client = await open({ keys: { ttlMs: 0 } })
  await encrypt(client, 'k')
  const before = [searches(), module.calls('C_GetAttributeValue')]
  await encrypt(client, 'k')
  expect(searches()).toBe(before[0])
  expect(module.calls('C_GetAttributeValue')).toBeGreaterThan(before[1] as number)
})

test('a handle that the token refuses is searched for again, once', async () => {
  const client = await open()
  await encrypt(client, 'k')
  const before = searches()
  module.fail('C_EncryptInit', 'CKR_KEY_HANDLE_INVALID', { times: 1 })
  expect(await encrypt(client, 'k')).toHaveLength(32)
  expect(searches() - before).toBe(1)
  module.fail('C_EncryptInit', 'CKR_KEY_HANDLE_INVALID')
  expect(await rejection(encrypt(client, 'k'))).toMatchObject({ rvName: 'CKR_KEY_HANDLE_INVALID' })
  expect(searches() - before).toBe(2)
})

test('a handle that the token refuses though it was found just now is searched for once more too', async () => {
  const client = await open()
  const before = searches()
  module.fail('C_EncryptInit', 'CKR_OBJECT_HANDLE_INVALID', { times: 1 })
  expect(await encrypt(client, 'k')).toHaveLength(32)
  expect(searches() - before).toBe(2)
})

test('what is forgotten is forgotten however its reference was written', async () => {
  const client = await open()
  const one = { label: 'k', id: 1 }
  const bytes = { label: 'k', id: Buffer.from([0, 0, 0, 1]) }
  for (const forgotten of [one, bytes, { label: 'k' }, { id: 1 }, undefined]) {
    await client.encrypt(bytes, cbc, iv)
    const before = searches()
    await client.encrypt(one, cbc, iv)
    client.keys.forget({ label: 'another' })
    await client.encrypt(one, cbc, iv)
    expect(searches()).toBe(before)
    client.keys.forget(forgotten)
    await client.encrypt(one, cbc, iv)
    expect(searches() - before).toBe(1)
  }
})

test('what was missing is there as soon as it was made here, and what was the only one is one of two', async () => {
  const client = await open({ keys: { negativeTtlMs: 3_600_000 } })
  await clean(client, 'new')
  expect(await rejection(encrypt(client, 'new'))).toMatchObject({ code: 'KEY_NOT_FOUND' })
  const before = searches()
  expect(await rejection(encrypt(client, 'new'))).toMatchObject({ code: 'KEY_NOT_FOUND' })
  expect(searches()).toBe(before)
  await client.keys.import(aesKey('new', 1, Buffer.alloc(32, 1)))
  expect(await encrypt(client, 'new')).toEqual(under(1))
  await client.keys.import(aesKey('new', 2, Buffer.alloc(32, 2)))
  expect(await rejection(encrypt(client, 'new'))).toMatchObject({ code: 'KEY_AMBIGUOUS' })
  expect(await client.encrypt({ label: 'new', id: 2 }, cbc, iv)).toEqual(under(2))
})

test('a key that is destroyed or renamed is not used under its old name', async () => {
  const client = await open()
  await clean(client, 'old')
  await client.keys.import(aesKey('old', 1, Buffer.alloc(32, 1)))
  expect(await encrypt(client, 'old')).toEqual(under(1))
  await client.keys.update({ label: 'old' }, { CKA_LABEL: 'elsewhere' })
  expect(await rejection(encrypt(client, 'old'))).toMatchObject({ code: 'KEY_NOT_FOUND' })
  expect(await encrypt(client, 'elsewhere')).toEqual(under(1))
  await client.keys.destroy({ label: 'elsewhere' })
  expect(await rejection(encrypt(client, 'elsewhere'))).toMatchObject({ code: 'KEY_NOT_FOUND' })
})

test('the answer to a search that a destroy has overtaken is not kept', async () => {
  const client = await open({ pool: { maxSize: 4, minSize: 4 } })
  await clean(client, 'raced')
  await client.keys.import(aesKey('raced', 1, Buffer.alloc(32, 1)))
  module.hang('C_FindObjectsFinal', { times: 1 })
  const first = encrypt(client, 'raced').catch((error: unknown) => error)
  while (module.hanging() === 0) await new Promise(setImmediate)
  await client.keys.destroy({ label: 'raced' })
  await client.keys.import(aesKey('raced', 1, Buffer.alloc(32, 2)))
  module.release()
  await first
  expect(await encrypt(client, 'raced')).toEqual(under(2))
})

test('of a key pair the half is used that can do it', async () => {
  const client = await open()
  const hash = Buffer.alloc(32, 3)
  const signature = await client.sign({ label: 'pair' }, 'CKM_ECDSA', hash)
  expect(await client.verify({ label: 'pair' }, 'CKM_ECDSA', hash, signature)).toBe(true)
  expect(await rejection(client.keys.get({ label: 'pair' }))).toMatchObject({ code: 'KEY_AMBIGUOUS' })
  expect(await client.keys.get({ label: 'pair', class: 'CKO_PUBLIC_KEY' })).toMatchObject({ keyType: 'CKK_EC' })
})

test('any number of objects that are no keys may share a key’s label, and hide neither it nor a second one', async () => {
  const client = await open()
  await client.withSession(async (session) => {
    for (let at = 0; at < 20; at += 1) {
      await session.createObject({ CKA_CLASS: 'CKO_DATA', CKA_LABEL: 'crowd', CKA_TOKEN: true })
    }
  })
  await client.keys.import(aesKey('crowd', 1, Buffer.alloc(32, 1)))
  expect(await encrypt(client, 'crowd')).toEqual(under(1))
  await client.keys.import(aesKey('crowd', 2, Buffer.alloc(32, 2)))
  expect(await rejection(client.keys.get({ label: 'crowd' }))).toMatchObject({ code: 'KEY_AMBIGUOUS' })
  for (let id = 3; id <= 20; id += 1) await client.keys.import(aesKey('crowd', id, Buffer.alloc(32, id)))
  expect(await rejection(client.keys.get({ label: 'crowd' }))).toMatchObject({
    message: expect.stringContaining('and 4 more'),
  })
})

test('a session object ends with the session that made it', async () => {
  const client = await open({ pool: { maxSize: 1 } })
  const { CKA_TOKEN: _, ...template } = aesKey('fleeting', 1, Buffer.alloc(32, 1))
  await client.withSession(async (session) => {
    const handle = await session.createObject(template)
    expect(await session.encrypt(handle, cbc, iv)).toEqual(under(1))
  })
  await client.withSession(async (session) => {
    expect(await session.findObjects({ CKA_LABEL: 'fleeting' })).toEqual([])
  })
})

test('keys are found by any part of their reference, more than one chunk of them', async () => {
  const client = await open()
  for (let id = 1; id <= 70; id += 1) await client.keys.import(aesKey('many', id, Buffer.alloc(32, id)))
  const found = await client.keys.find({ label: 'many' })
  expect(found.map(({ id }) => id.readUInt32BE()).sort((a, b) => a - b)).toEqual(
    Array.from({ length: 70 }, (_, at) => at + 1),
  )
  expect(await client.keys.find({ label: 'many', id: 42 })).toHaveLength(1)
  expect((await client.keys.find()).length).toBeGreaterThanOrEqual(73)
  expect(await client.keys.find({ class: 'CKO_PUBLIC_KEY' })).toHaveLength(1)
})

test('while keys are rotated, every answer is that of a key that was there, or there is none', async () => {
  const client = await open({ pool: { maxSize: 8 } })
  await clean(client, 'rotated')
  await client.keys.import(aesKey('rotated', 1, Buffer.alloc(32, 1)))
  const answers = new Map(Array.from({ length: 11 }, (_, at) => [under(at + 1).toString('hex'), at + 1]))
  const rotation = { over: false }
  const seen = new Set<number>()
  const worker = async (): Promise<void> => {
    let last = 0
    while (!rotation.over) {
      const outcome = await client
        .encrypt({ label: 'rotated', id: 1 }, cbc, iv)
        .catch((error: { code: string }) => error.code)
      if (typeof outcome === 'string') {
        // SoftHSM takes the type of a key that goes away while it looks at it for one that no mechanism is for.
        expect(['KEY_NOT_FOUND', 'KEY_AMBIGUOUS', 'CRYPTOKI', 'MECHANISM_NOT_SUPPORTED']).toContain(outcome)
        // A miss that is remembered is answered without leaving the microtasks: the rotation needs its turn.
        await new Promise(setImmediate)
        continue
      }
      const generation = answers.get(outcome.toString('hex')) ?? Number.NaN
      // A key that came later was made after the earlier one was destroyed: no call may go back.
      expect(generation).toBeGreaterThanOrEqual(last)
      last = generation
      seen.add(generation)
    }
  }
  const workers = Promise.all(Array.from({ length: 16 }, worker))
  for (let byte = 2; byte <= 11; byte += 1) {
    await client.keys.destroy({ label: 'rotated', id: 1 })
    await client.keys.import(aesKey('rotated', 1, Buffer.alloc(32, byte)))
    await client.encrypt({ label: 'rotated', id: 1 }, cbc, iv)
  }
  rotation.over = true
  await workers
  expect(seen.size).toBeGreaterThan(1)
  expect(await client.encrypt({ label: 'rotated', id: 1 }, cbc, iv)).toEqual(under(11))
})
