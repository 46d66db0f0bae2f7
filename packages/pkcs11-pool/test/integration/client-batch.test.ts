import { createCipheriv, createDecipheriv, createHash } from 'node:crypto'
import { beforeAll, expect, test } from 'vitest'
import type { BatchItem, Sealed } from '../../src/index.js'
import { rejection } from '../support/rejection.js'
import { aesKey, useWrappedToken } from '../support/wrapped-token.js'

const { module, open } = useWrappedToken([{ label: 'pair', type: 'ec-p256' }])
const iv = Buffer.alloc(16)
const value = Buffer.alloc(32, 9)
const mechanism = { mechanism: 'CKM_AES_CBC_PAD', iv } as const
const item = (text: string): BatchItem => ({ op: 'encrypt', key: { label: 'aes' }, mechanism, data: Buffer.from(text) })
const answer = (text: string): PromiseFulfilledResult<Buffer> => {
  const cipher = createCipheriv('aes-256-cbc', value, iv)
  return { status: 'fulfilled', value: Buffer.concat([cipher.update(text), cipher.final()]) }
}

beforeAll(async () => {
  const client = await open()
  await client.keys.import(aesKey('aes', 1, value))
  await client.close()
})

test('each operation of a batch settles on its own, in one hop', async () => {
  const client = await open({ pool: { maxSize: 1 } })
  const hash = createHash('sha256').update('x').digest()
  const signature = await client.sign({ label: 'pair' }, 'CKM_ECDSA', hash)
  await client.encrypt({ label: 'aes' }, mechanism, iv)
  const { completed } = client.stats().engine
  const results = await client.batch([
    item('one'),
    { op: 'digest', mechanism: 'CKM_SHA256', data: Buffer.from('x') },
    { op: 'verify', key: { label: 'pair' }, mechanism: 'CKM_ECDSA', data: hash, signature },
    { op: 'verify', key: { label: 'pair' }, mechanism: 'CKM_ECDSA', data: iv, signature },
    { op: 'encrypt', key: { label: 'missing' }, mechanism, data: iv },
    { op: 'decrypt', key: { label: 'aes' }, mechanism, data: Buffer.alloc(5) },
    {
      op: 'encrypt',
      key: { label: 'aes' },
      mechanism: { mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.alloc(1) },
      data: iv,
    },
    { op: 'shred' } as never,
    { ...item('x'), op: 'toString' } as never,
    item('two'),
  ])
  expect(results).toEqual([
    answer('one'),
    { status: 'fulfilled', value: hash },
    { status: 'fulfilled', value: true },
    { status: 'fulfilled', value: false },
    { status: 'rejected', reason: expect.objectContaining({ code: 'KEY_NOT_FOUND' }) },
    { status: 'rejected', reason: expect.objectContaining({ code: 'CRYPTOKI', fn: 'C_Decrypt' }) },
    { status: 'rejected', reason: expect.objectContaining({ code: 'INVALID_ARGUMENT' }) },
    { status: 'rejected', reason: expect.objectContaining({ code: 'INVALID_ARGUMENT' }) },
    { status: 'rejected', reason: expect.objectContaining({ code: 'INVALID_ARGUMENT' }) },
    answer('two'),
  ])
  // one for the batch, and for each search one and a look whether somebody is logged in: the public half, the key that is missing, the key
  // that decrypts
  expect(client.stats().engine.completed - completed).toBe(7)
})

test('a batch of nothing answers nothing, and what is no batch is refused', async () => {
  const client = await open()
  expect(await client.batch([])).toEqual([])
  expect(await rejection(client.batch('encrypt' as never))).toMatchObject({ code: 'INVALID_ARGUMENT' })
})

test('AES-GCM is sealed and opened in a batch as on its own', async () => {
  const client = await open({ pool: { maxSize: 1 } })
  const key = { label: 'aes' }
  const aad = Buffer.from('about it')
  const [bare, bound] = await client.batch([
    { op: 'seal', key, data: Buffer.from('bare') },
    { op: 'seal', key, data: Buffer.from('bound'), aad },
  ])
  if (bare?.status !== 'fulfilled' || bound?.status !== 'fulfilled') throw new Error('a seal was rejected')
  const sealed = [bare.value, bound.value] as [Sealed, Sealed]
  const decipher = createDecipheriv('aes-256-gcm', value, sealed[1].iv).setAAD(aad).setAuthTag(sealed[1].tag)
  expect(decipher.update(sealed[1].ciphertext, undefined, 'utf8') + decipher.final('utf8')).toBe('bound')
  expect(sealed.map(({ iv, tag }) => [iv.length, tag.length])).toEqual([
    [12, 16],
    [12, 16],
  ])
  expect(
    await client.batch([
      { op: 'open', key, sealed: sealed[0] },
      { op: 'open', key, sealed: sealed[1], aad },
      { op: 'open', key, sealed: sealed[1] },
      { op: 'open', key, sealed: { ...sealed[0], tag: Buffer.alloc(4) } },
    ]),
  ).toEqual([
    { status: 'fulfilled', value: Buffer.from('bare') },
    { status: 'fulfilled', value: Buffer.from('bound') },
    { status: 'rejected', reason: expect.objectContaining({ code: 'CRYPTOKI', fn: 'C_Decrypt' }) },
    { status: 'rejected', reason: expect.objectContaining({ code: 'INVALID_ARGUMENT' }) },
  ])
  expect(await client.open(key, sealed[0])).toEqual(Buffer.from('bare'))
})

test('operations whose handle the token refuses are sent once more', async () => {
  const client = await open()
  await client.encrypt({ label: 'aes' }, mechanism, iv)
  module.fail('C_EncryptInit', 'CKR_KEY_HANDLE_INVALID', { from: 2, times: 1 })
  expect(await client.batch([item('a'), item('b'), item('c')])).toEqual([answer('a'), answer('b'), answer('c')])
  module.fail('C_EncryptInit', 'CKR_KEY_HANDLE_INVALID')
  for (const result of await client.batch([item('a'), item('b')])) {
    expect(result).toMatchObject({ status: 'rejected', reason: { rvName: 'CKR_KEY_HANDLE_INVALID' } })
  }
})

test('a batch that loses its login is made again after a new one', async () => {
  const client = await open()
  await client.encrypt({ label: 'aes' }, mechanism, iv)
  const logins = module.calls('C_Login')
  module.fail('C_EncryptInit', 'CKR_USER_NOT_LOGGED_IN', { from: 2, times: 1 })
  expect(await client.batch([item('a'), item('b'), item('c')])).toEqual([answer('a'), answer('b'), answer('c')])
  expect(module.calls('C_Login') - logins).toBe(1)
})

test('of a batch that hangs, what is finished is answered, and the rest says whether it may have happened', async () => {
  const client = await open({ pool: { operationTimeoutMs: 100 } })
  await client.encrypt({ label: 'aes' }, mechanism, iv, { timeoutMs: 10_000 })
  module.hang('C_Encrypt', { from: 3 })
  const results = await client.batch([item('a'), item('b'), item('c'), item('d')])
  expect(results.slice(0, 2)).toEqual([answer('a'), answer('b')])
  expect(results[2]).toMatchObject({
    reason: { code: 'OPERATION_TIMEOUT', category: 'token', message: expect.stringContaining('is unknown') },
  })
  expect(results[3]).toMatchObject({
    reason: {
      code: 'OPERATION_TIMEOUT',
      category: 'overload',
      message: expect.stringContaining('nothing of it reached'),
    },
  })
  module.release()
  expect(await client.batch([item('a')], { timeoutMs: 10_000 })).toEqual([answer('a')])
})
