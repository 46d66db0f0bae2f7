import {
  constants,
  createCipheriv,
  createDecipheriv,
  createECDH,
  createHash,
  createPublicKey,
  publicEncrypt,
  verify,
} from 'node:crypto'
import { pkcs11Tool } from 'testkit'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Client, Mechanism, Template } from '../../src/index.js'
import { aesKey, useWrappedToken } from '../support/wrapped-token.js'

const { token, open } = useWrappedToken([
  { label: 'ec', type: 'ec-p256' },
  { label: 'rsa', type: 'rsa-2048' },
])
const value = Buffer.from('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f', 'hex')
const iv = Buffer.from('f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff', 'hex')
const aes = { label: 'aes', id: 1 }
const des3Value = Buffer.from('0123456789abcdef23456789abcdef01456789abcdef0123', 'hex')
const message = Buffer.from('a message to be signed')

beforeAll(async () => {
  const client = await open()
  await client.keys.import(aesKey('aes', 1, value))
  await client.keys.import({ ...aesKey('des3', 1, des3Value), CKA_KEY_TYPE: 'CKK_DES3' })
  await client.close()
})

const byNode = (
  algorithm: string,
  key: Uint8Array,
  ivOrNull: Uint8Array | null,
  data: Uint8Array,
  padding = true,
): Buffer => {
  const cipher = createCipheriv(algorithm, key, ivOrNull).setAutoPadding(padding)
  return Buffer.concat([cipher.update(data), cipher.final()])
}

describe('what the token encrypts is what node:crypto does with the same key', () => {
  const block = Buffer.alloc(32, 5)
  test.each<[string, Mechanism, typeof aes, Buffer, () => Buffer]>([
    [
      'AES-CBC with padding',
      { mechanism: 'CKM_AES_CBC_PAD', iv },
      aes,
      message,
      () => byNode('aes-256-cbc', value, iv, message),
    ],
    ['AES-CBC', { mechanism: 'CKM_AES_CBC', iv }, aes, block, () => byNode('aes-256-cbc', value, iv, block, false)],
    ['AES-ECB', 'CKM_AES_ECB', aes, block, () => byNode('aes-256-ecb', value, null, block, false)],
    [
      'AES-CTR',
      { mechanism: 'CKM_AES_CTR', counterBits: 128, counterBlock: iv },
      aes,
      message,
      () => byNode('aes-256-ctr', value, iv, message),
    ],
    [
      'DES3-CBC with padding',
      { mechanism: 'CKM_DES3_CBC_PAD', iv: iv.subarray(8) },
      { label: 'des3', id: 1 },
      message,
      () => byNode('des-ede3-cbc', des3Value, iv.subarray(8), message),
    ],
    [
      'nothing',
      { mechanism: 'CKM_AES_CBC_PAD', iv },
      aes,
      Buffer.alloc(0),
      () => byNode('aes-256-cbc', value, iv, Buffer.alloc(0)),
    ],
    [
      'a mebibyte',
      { mechanism: 'CKM_AES_CBC_PAD', iv },
      aes,
      Buffer.alloc(1 << 20, 9),
      () => byNode('aes-256-cbc', value, iv, Buffer.alloc(1 << 20, 9)),
    ],
  ])('%s', async (_, mechanism, key, plain, expected) => {
    const client = await open()
    const cipher = await client.encrypt(key, mechanism, plain)
    expect(Buffer.isBuffer(cipher)).toBe(true)
    expect(cipher.equals(expected())).toBe(true)
    expect((await client.decrypt(key, mechanism, cipher)).equals(plain)).toBe(true)
    const onSession = await client.withSession(async (session) =>
      session.encrypt(await session.findKey(key), mechanism, plain),
    )
    expect(onSession.equals(cipher)).toBe(true)
  })
})

test('what is sealed opens in node:crypto, and nowhere with another tag or other additional data', async () => {
  const client = await open()
  const aad = Buffer.from('header')
  const sealed = await client.seal(aes, message, { aad })
  expect([sealed.iv.length, sealed.tag.length, sealed.ciphertext.length]).toEqual([12, 16, message.length])
  const decipher = createDecipheriv('aes-256-gcm', value, sealed.iv).setAAD(aad).setAuthTag(sealed.tag)
  expect(Buffer.concat([decipher.update(sealed.ciphertext), decipher.final()])).toEqual(message)
  expect(await client.open(aes, sealed, { aad })).toEqual(message)
  const flipped = Buffer.from(sealed.tag)
  flipped[0] = (flipped[0] as number) ^ 1
  await expect(client.open(aes, { ...sealed, tag: flipped }, { aad })).rejects.toMatchObject({ fn: 'C_Decrypt' })
  await expect(client.open(aes, sealed)).rejects.toMatchObject({ fn: 'C_Decrypt' })
  await expect(client.open(aes, { ...sealed, tag: Buffer.alloc(4) })).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
  })
  expect((await client.seal(aes, message)).iv.equals(sealed.iv)).toBe(false)
  expect(
    await client.withSession(async (session) => session.open(await session.findKey(aes), sealed, { aad })),
  ).toEqual(message)
})

/** The public half as node:crypto takes it, read from the token. */
async function rsaPublicKey(client: Client) {
  return client.withSession(async (session) => {
    const key = await session.findKey({ label: 'rsa', class: 'CKO_PUBLIC_KEY' })
    const { CKA_MODULUS, CKA_PUBLIC_EXPONENT } = await session.getAttributes(key, [
      'CKA_MODULUS',
      'CKA_PUBLIC_EXPONENT',
    ])
    const [n, e] = [CKA_MODULUS as Buffer, CKA_PUBLIC_EXPONENT as Buffer].map((part) => part.toString('base64url')) as [
      string,
      string,
    ]
    const jwk = { kty: 'RSA', n, e }
    return createPublicKey({ key: jwk, format: 'jwk' })
  })
}

async function ecPoint(client: Client, reference: { label: string; id?: number }): Promise<Buffer> {
  return client.withSession(async (session) => {
    const key = await session.findKey({ ...reference, class: 'CKO_PUBLIC_KEY' })
    const { CKA_EC_POINT } = await session.getAttributes(key, ['CKA_EC_POINT'])
    // a DER octet string around the uncompressed point
    return (CKA_EC_POINT as Buffer).subarray(2)
  })
}

test('RSA signatures verify in node:crypto, with PKCS#1 v1.5 and PSS, and here', async () => {
  const client = await open()
  const key = await rsaPublicKey(client)
  const plain = await client.sign({ label: 'rsa' }, 'CKM_SHA256_RSA_PKCS', message)
  expect(verify('sha256', message, key, plain)).toBe(true)
  const pss = await client.sign({ label: 'rsa' }, 'CKM_SHA256_RSA_PKCS_PSS', message)
  expect(verify('sha256', message, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }, pss)).toBe(true)
  expect(await client.verify({ label: 'rsa' }, 'CKM_SHA256_RSA_PKCS', message, plain)).toBe(true)
  expect(await client.verify({ label: 'rsa' }, 'CKM_SHA256_RSA_PKCS', iv, plain)).toBe(false)
  expect(await client.verify({ label: 'rsa' }, 'CKM_SHA256_RSA_PKCS', message, iv)).toBe(false)
})

test('what node:crypto encrypts with OAEP to the token’s key, the token decrypts', async () => {
  const client = await open()
  const cipher = publicEncrypt(
    { key: await rsaPublicKey(client), padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' },
    message,
  )
  expect(
    await client.decrypt({ label: 'rsa' }, { mechanism: 'CKM_RSA_PKCS_OAEP', hashAlg: 'CKM_SHA_1' }, cipher),
  ).toEqual(message)
})

test('ECDSA signatures verify in node:crypto', async () => {
  const client = await open()
  const point = await ecPoint(client, { label: 'ec' })
  const [x, y] = [point.subarray(1, 33), point.subarray(33)].map((half) => half.toString('base64url'))
  const key = createPublicKey({ key: { kty: 'EC', crv: 'P-256', x: x as string, y: y as string }, format: 'jwk' })
  const hash = createHash('sha256').update(message).digest()
  const signature = await client.sign({ label: 'ec' }, 'CKM_ECDSA', hash)
  expect(verify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, signature)).toBe(true)
  expect(await client.verify({ label: 'ec' }, 'CKM_ECDSA', hash, signature)).toBe(true)
})

test('digests are those of node:crypto, and random bytes are as many as asked for', async () => {
  const client = await open()
  expect(await client.digest('CKM_SHA256', message)).toEqual(createHash('sha256').update(message).digest())
  for (const length of [1, 64, 65, 1 << 20]) expect(await client.generateRandom(length)).toHaveLength(length)
  const [one, other] = [await client.generateRandom(32), await client.generateRandom(32)]
  expect(one.equals(other)).toBe(false)
})

test('a key that is wrapped and unwrapped is the same key', async () => {
  const client = await open()
  const wrapping: Template = { ...aesKey('wrapping', 1, Buffer.alloc(32, 3)), CKA_WRAP: true, CKA_UNWRAP: true }
  await client.keys.import(wrapping)
  await client.keys.import({ ...aesKey('wrapped', 1, Buffer.alloc(32, 4)), CKA_EXTRACTABLE: true })
  const bytes = await client.keys.wrap('CKM_AES_KEY_WRAP', { label: 'wrapping' }, { label: 'wrapped' })
  const { CKA_VALUE: _, ...template } = aesKey('unwrapped', 2, iv)
  const key = await client.keys.unwrap('CKM_AES_KEY_WRAP', { label: 'wrapping' }, bytes, template)
  expect(key).toMatchObject({ label: 'unwrapped', class: 'CKO_SECRET_KEY', keyType: 'CKK_AES' })
  expect(await client.encrypt({ label: 'unwrapped' }, { mechanism: 'CKM_AES_CBC_PAD', iv }, message)).toEqual(
    byNode('aes-256-cbc', Buffer.alloc(32, 4), iv, message),
  )
})

test('a secret derived by ECDH is the one that node:crypto derives', async () => {
  const client = await open()
  const P256 = Buffer.from('06082a8648ce3d030107', 'hex')
  await client.keys.generatePair(
    'CKM_EC_KEY_PAIR_GEN',
    { CKA_TOKEN: true, CKA_LABEL: 'dh', CKA_EC_PARAMS: P256 },
    { CKA_TOKEN: true, CKA_LABEL: 'dh', CKA_DERIVE: true, CKA_PRIVATE: true },
  )
  const peer = createECDH('prime256v1')
  peer.generateKeys()
  const { CKA_VALUE: _, ...template } = aesKey('derived', 1, iv)
  await client.keys.derive(
    { mechanism: 'CKM_ECDH1_DERIVE', kdf: 'CKD_NULL', publicData: peer.getPublicKey() },
    { label: 'dh' },
    { ...template, CKA_VALUE_LEN: 32 },
  )
  const secret = peer.computeSecret(await ecPoint(client, { label: 'dh' }))
  expect(await client.encrypt({ label: 'derived' }, 'CKM_AES_ECB', iv)).toEqual(
    byNode('aes-256-ecb', secret, null, iv, false),
  )
})

test('another program sees the keys that were made here, and no longer those that were destroyed', async () => {
  const client = await open()
  const key = await client.keys.generate('CKM_AES_KEY_GEN', {
    CKA_TOKEN: true,
    CKA_LABEL: 'seen',
    CKA_ID: 9,
    CKA_VALUE_LEN: 32,
  })
  expect(key).toMatchObject({ label: 'seen', id: Buffer.from([0, 0, 0, 9]), sizeBits: 256 })
  const list = () => pkcs11Tool(token, ['--login', '--list-objects', '--type', 'secrkey'])
  expect(list()).toContain('seen')
  await client.keys.update({ label: 'seen' }, { CKA_LABEL: 'renamed' })
  expect(list()).toContain('renamed')
  await client.keys.destroy({ label: 'renamed' })
  expect(list()).not.toContain('renamed')
})

test('a session is given back at the end of its block, and its methods are the functions of PKCS#11', async () => {
  const client = await open()
  {
    await using session = await client.acquire()
    expect(client.stats().inUse).toBe(1)
    expect(await session.getSessionInfo()).toMatchObject({ slotId: token.slot, state: 3 })
    const [handle] = await session.findObjects({ CKA_LABEL: 'aes', CKA_CLASS: 'CKO_SECRET_KEY' })
    expect(
      await session.getAttributes(handle as number, ['CKA_LABEL', 'CKA_VALUE', 'CKA_ENCRYPT', 'CKA_MODULUS']),
    ).toEqual({
      CKA_LABEL: 'aes',
      CKA_VALUE: undefined,
      CKA_ENCRYPT: true,
      CKA_MODULUS: undefined,
    })
    const copy = await session.copyObject(handle as number, { CKA_LABEL: 'copy' })
    await session.setAttributes(copy, { CKA_LABEL: 'copied' })
    await session.destroyObject(copy)
    await session.seedRandom(iv)
  }
  expect(client.stats()).toMatchObject({ inUse: 0 })
})
