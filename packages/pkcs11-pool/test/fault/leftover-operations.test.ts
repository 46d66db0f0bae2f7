import { expect, test } from 'vitest'
import { rejection } from '../support/rejection.js'
import { aesKey, useWrappedToken } from '../support/wrapped-token.js'

const { module, open } = useWrappedToken()
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.alloc(16) } as const
const key = { label: 'aes' }
const plain = Buffer.from('what was encrypted')

test('an operation that a failed decryption has left active in its session shows in no other call', async () => {
  const client = await open({ pool: { minSize: 0, maxSize: 1 } })
  await client.keys.import(aesKey('aes', 1, Buffer.alloc(32, 1)))
  const cipher = await client.encrypt(key, cbc, plain)
  const calls = [
    () => client.decrypt(key, cbc, cipher),
    () => client.keys.find(key),
    // What is made once only, too: it finds its key first.
    () => client.keys.update(key, { CKA_LABEL: 'aes' }),
    () => client.keys.destroy({ label: 'other' }),
  ]
  for (const call of calls) {
    await client.keys.import(aesKey('other', 2, Buffer.alloc(32, 2)))
    // It answers without asking the token, in which the decryption goes on.
    module.fail('C_Decrypt', 'CKR_GENERAL_ERROR', { times: 1 })
    expect(await rejection(client.decrypt(key, cbc, cipher))).toMatchObject({ rvName: 'CKR_GENERAL_ERROR' })
    await call()
    expect(await client.decrypt(key, cbc, cipher)).toEqual(plain)
    for (const { handle } of await client.keys.find({ label: 'other' })) {
      await client.withSession((session) => session.destroyObject(handle))
    }
  }
})
