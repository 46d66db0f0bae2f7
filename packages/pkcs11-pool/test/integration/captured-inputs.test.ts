import { createCipheriv } from 'node:crypto'
import { expect, test } from 'vitest'
import type { Client } from '../../src/index.js'
import { aesKey, useWrappedToken } from '../support/wrapped-token.js'

const { module, open } = useWrappedToken()
const value = Buffer.alloc(32, 7)
const expected = (() => {
  const cipher = createCipheriv('aes-256-cbc', value, Buffer.alloc(16, 1))
  return Buffer.concat([cipher.update('the plaintext'), cipher.final()])
})()

/** Encrypts, and spoils every input as soon as the call has returned. */
function encryptAndSpoil(client: Client): Promise<Buffer> {
  const iv = Buffer.alloc(16, 1)
  const id = Buffer.from([0, 0, 0, 1])
  const data = Buffer.from('the plaintext')
  const mechanism = { mechanism: 'CKM_AES_CBC_PAD' as const, iv }
  const key = { label: 'k', id }
  const answer = client.encrypt(key, mechanism, data)
  for (const bytes of [iv, id, data]) bytes.fill(0xee)
  mechanism.iv = Buffer.alloc(3)
  key.label = 'another'
  return answer
}

async function withKey(): Promise<Client> {
  const client = await open({ pool: { maxSize: 1 } })
  for (const { id } of await client.keys.find({ label: 'k' })) await client.keys.destroy({ label: 'k', id })
  const template = aesKey('k', 1, Buffer.from(value))
  const importing = client.keys.import(template)
  // The value of a key that is being imported may be wiped at once too.
  ;(template.CKA_VALUE as Buffer).fill(0)
  template.CKA_LABEL = 'another'
  await importing
  return client
}

test('a call that runs at once uses its inputs as they were', async () => {
  const client = await withKey()
  expect(await encryptAndSpoil(client)).toEqual(expected)
  expect(await encryptAndSpoil(client)).toEqual(expected)
})

test('a call that waits for a session uses its inputs as they were', async () => {
  const client = await withKey()
  const session = await client.acquire()
  const waiting = [encryptAndSpoil(client), encryptAndSpoil(client)]
  session.release()
  expect(await Promise.all(waiting)).toEqual([expected, expected])
})

test('a call that looks its key up first uses its inputs as they were', async () => {
  const client = await withKey()
  client.keys.forget()
  expect(await encryptAndSpoil(client)).toEqual(expected)
})

test.each([
  'CKR_USER_NOT_LOGGED_IN',
  'CKR_KEY_HANDLE_INVALID',
  'CKR_SESSION_HANDLE_INVALID',
  'CKR_OPERATION_ACTIVE',
] as const)('a call that is made again after %s uses its inputs as they were', async (rv) => {
  const client = await withKey()
  await encryptAndSpoil(client)
  // Twice for an active operation: the engine itself tries to end it and begins once more.
  module.fail('C_EncryptInit', rv, { times: rv === 'CKR_OPERATION_ACTIVE' ? 2 : 1 })
  const before = module.calls('C_EncryptInit')
  expect(await encryptAndSpoil(client)).toEqual(expected)
  expect(module.calls('C_EncryptInit') - before).toBeGreaterThan(1)
})

test('a session’s calls that wait for one another use their inputs as they were', async () => {
  const client = await withKey()
  await client.withSession(async (session) => {
    const key = await session.findKey({ label: 'k' })
    const iv = Buffer.alloc(16, 1)
    const data = Buffer.from('the plaintext')
    const answers = [1, 2, 3].map(() => session.encrypt(key, { mechanism: 'CKM_AES_CBC_PAD', iv }, data))
    iv.fill(0)
    data.fill(0)
    expect(await Promise.all(answers)).toEqual([expected, expected, expected])
  })
})

test('sealed data, its additional data, signatures and the items of a batch are taken as they were', async () => {
  const client = await withKey()
  const aad = Buffer.from('aad')
  const plain = Buffer.from('plain')
  const session = await client.acquire()
  const sealing = client.seal({ label: 'k' }, plain, { aad })
  aad.fill(0)
  plain.fill(0)
  session.release()
  const sealed = await sealing
  const opening = client.open({ label: 'k' }, sealed, { aad: Buffer.from('aad') })
  for (const bytes of [sealed.iv, sealed.ciphertext, sealed.tag]) bytes.fill(0)
  expect((await opening).toString()).toBe('plain')

  const item = {
    op: 'encrypt' as const,
    key: { label: 'k' },
    mechanism: { mechanism: 'CKM_AES_CBC_PAD' as const, iv: Buffer.alloc(16, 1) },
    data: Buffer.from('the plaintext'),
  }
  const busy = await client.acquire()
  const batch = client.batch([item, item])
  item.data.fill(0)
  item.mechanism.iv.fill(0)
  item.key.label = 'another'
  busy.release()
  expect(await batch).toEqual([
    { status: 'fulfilled', value: expected },
    { status: 'fulfilled', value: expected },
  ])
})
