import { createHash, createPublicKey, randomBytes, sign, verify } from 'node:crypto'
import { holds, same } from './check.js'
import { aesCbc } from './cipher.js'
import type { LoadOperation } from './operation.js'

const AES = { label: 'aes' }
const RSA = { label: 'rsa' }

/** What a service does all day; every cell runs it, before, during and after its fault. */
export const MIX: readonly LoadOperation[] = [
  {
    name: 'encrypt',
    calls: [
      'C_EncryptInit',
      'C_Encrypt',
      'C_FindObjectsInit',
      'C_FindObjects',
      'C_FindObjectsFinal',
      'C_GetAttributeValue',
    ],
    async run({ client, keys, options }) {
      const [iv, plain] = [randomBytes(16), randomBytes(50)]
      const cipher = await client.encrypt(AES, { mechanism: 'CKM_AES_CBC_PAD', iv }, plain, options)
      same('encrypt', cipher, aesCbc(keys.aes, iv, plain))
    },
  },
  {
    name: 'decrypt',
    calls: ['C_DecryptInit', 'C_Decrypt'],
    async run({ client, keys, options }) {
      const [iv, plain] = [randomBytes(16), randomBytes(50)]
      const cipher = aesCbc(keys.aes, iv, plain)
      same('decrypt', await client.decrypt(AES, { mechanism: 'CKM_AES_CBC_PAD', iv }, cipher, options), plain)
    },
  },
  {
    name: 'sign',
    calls: ['C_SignInit', 'C_Sign'],
    async run({ client, keys, options }) {
      const data = randomBytes(30)
      same('sign', await client.sign(RSA, 'CKM_SHA256_RSA_PKCS', data, options), sign('sha256', data, keys.rsa))
    },
  },
  {
    name: 'verify',
    calls: ['C_VerifyInit', 'C_Verify'],
    async run({ client, keys, options }) {
      const data = randomBytes(30)
      const signature = sign('sha256', data, keys.rsa)
      const isRight = randomBytes(1).readUInt8() < 128
      if (!isRight) signature.writeUInt8(signature.readUInt8(20) ^ 1, 20)
      const answer = await client.verify(RSA, 'CKM_SHA256_RSA_PKCS', data, signature, options)
      holds(`verify said ${answer} of a signature that is ${isRight ? 'right' : 'wrong'}`, answer === isRight)
    },
  },
  {
    name: 'sign ECDSA',
    calls: ['C_SignInit', 'C_Sign'],
    async run({ client, keys, options }) {
      const data = randomBytes(30)
      const signature = await client.sign(
        { label: 'ec' },
        'CKM_ECDSA',
        createHash('sha256').update(data).digest(),
        options,
      )
      const key = { key: createPublicKey(keys.ec), dsaEncoding: 'ieee-p1363' } as const
      holds('sign ECDSA: the signature does not verify', verify('sha256', data, key, signature))
    },
  },
  {
    name: 'digest',
    calls: ['C_DigestInit', 'C_Digest'],
    async run({ client, options }) {
      const data = randomBytes(30)
      same('digest', await client.digest('CKM_SHA256', data, options), createHash('sha256').update(data).digest())
    },
  },
  {
    name: 'find',
    calls: ['C_FindObjectsInit', 'C_FindObjects', 'C_FindObjectsFinal', 'C_GetAttributeValue'],
    async run({ client, options }) {
      const classes = (await client.keys.find(RSA, options)).map((key) => key.class).sort()
      holds(`find: got ${classes.join(', ')} of a key pair`, classes.join() === 'CKO_PRIVATE_KEY,CKO_PUBLIC_KEY')
    },
  },
  {
    name: 'generate',
    calls: ['C_GenerateKey'],
    run: ({ client, options }) =>
      client.withSession(async (session) => {
        const template = { CKA_VALUE_LEN: 32, CKA_TOKEN: false, CKA_SENSITIVE: false, CKA_EXTRACTABLE: true } as const
        const key = await session.generateKey('CKM_AES_KEY_GEN', { ...template, CKA_ENCRYPT: true })
        const { CKA_VALUE: value } = await session.getAttributes(key, ['CKA_VALUE'])
        const [iv, plain] = [randomBytes(16), randomBytes(20)]
        const cipher = await session.encrypt(key, { mechanism: 'CKM_AES_CBC_PAD', iv }, plain)
        holds('generate: the key’s value cannot be read', value !== undefined)
        if (value !== undefined) same('encrypt with a generated key', cipher, aesCbc(value, iv, plain))
      }, options),
  },
  {
    name: 'random',
    calls: ['C_GenerateRandom'],
    async run({ client, options }) {
      const bytes = await client.generateRandom(32, options)
      holds('random: not 32 bytes, or all alike', bytes.length === 32 && new Set(bytes).size > 8)
    },
  },
]
