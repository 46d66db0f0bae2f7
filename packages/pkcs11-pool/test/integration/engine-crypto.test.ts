import { createCipheriv } from 'node:crypto'
import { createWrappedModule } from 'testkit'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Client, createClient } from '../../src/index.js'
import { rejection } from '../support/rejection.js'
import { aesKey } from '../support/wrapped-token.js'

const KINDS = [
  { label: 'ec', type: 'ec-p256', id: 2 },
  { label: 'rsa', type: 'rsa-2048', id: 3 },
] as const
const token = useSoftHsmToken({ keys: [...KINDS] })
const module = createWrappedModule(token)
const value = Buffer.alloc(32, 7)
const iv = Buffer.alloc(16, 9)
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv } as const
const key = { label: 'k' }
let client: Client

beforeAll(async () => {
  client = await createClient({
    module: module.module,
    token: { label: token.label },
    pin: { file: token.pinFile },
    pool: { maxSize: 1 },
  })
  await client.keys.import(aesKey('k', 1, value))
})
afterEach(() => module.clear())
afterAll(async () => {
  await client.close()
  module.remove()
})

function expected(plain: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-cbc', value, iv)
  return Buffer.concat([cipher.update(plain), cipher.final()])
}

describe('an answer is whole', () => {
  test.each([0, 1, 15, 16, 63, 64, 65, 1007, 1008, 1023, 1024, 1025, 2047, 2048, 2049, 4096, 1_048_576])(
    'for %i bytes, there and back',
    async (length) => {
      const plain = Buffer.alloc(length, 3)
      const cipher = await client.encrypt(key, cbc, plain)
      expect(cipher.equals(expected(plain))).toBe(true)
      expect((await client.decrypt(key, cbc, cipher)).equals(plain)).toBe(true)
    },
  )

  test('of no bytes at all', async () => {
    expect(await client.decrypt(key, cbc, expected(Buffer.alloc(0)))).toEqual(Buffer.alloc(0))
  })

  test('when the module wants more room than it was given, and leaves nothing active when it wants it for ever', async () => {
    module.fail('C_Encrypt', 'CKR_BUFFER_TOO_SMALL', { times: 2 })
    expect((await client.encrypt(key, cbc, iv)).equals(expected(iv))).toBe(true)
    module.fail('C_Encrypt', 'CKR_BUFFER_TOO_SMALL')
    expect(await rejection(client.encrypt(key, cbc, iv))).toMatchObject({ rvName: 'CKR_BUFFER_TOO_SMALL' })
    module.clear()
    for (let call = 0; call < 4; call += 1) {
      expect((await client.encrypt(key, cbc, iv)).equals(expected(iv))).toBe(true)
    }
  })
})

test('attributes that are sensitive or not there are undefined, and the others are read beside them', async () => {
  await client.withSession(async (session) => {
    const [handle] = await session.findObjects({ CKA_LABEL: 'rsa', CKA_CLASS: 'CKO_PRIVATE_KEY' })
    if (handle === undefined) throw new Error('the key is missing')
    const attributes = await session.getAttributes(handle, ['CKA_LABEL', 'CKA_PRIVATE_EXPONENT', 'CKA_EC_POINT'])
    expect(attributes).toEqual({ CKA_LABEL: 'rsa', CKA_PRIVATE_EXPONENT: undefined, CKA_EC_POINT: undefined })
  })
})

test('PSS with a key that is no RSA key is refused, and the process lives', async () => {
  const pss = { mechanism: 'CKM_RSA_PKCS_PSS', hashAlg: 'CKM_SHA256' } as const
  const data = Buffer.alloc(32)
  for (const label of ['ec', 'k']) {
    const sign = client.sign({ label }, pss, data)
    expect(await rejection(sign)).toMatchObject({ rvName: 'CKR_KEY_TYPE_INCONSISTENT', fn: 'C_SignInit' })
    const verify = client.verify({ label }, pss, data, data)
    expect(await rejection(verify)).toMatchObject({ rvName: 'CKR_KEY_TYPE_INCONSISTENT', fn: 'C_VerifyInit' })
  }
  const signature = await client.sign({ label: 'rsa' }, pss, data)
  expect(await client.verify({ label: 'rsa' }, pss, data, signature)).toBe(true)
})
