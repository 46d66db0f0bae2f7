import { createHash, createPublicKey, randomBytes, sign, verify } from 'node:crypto'
import { type Client, inspectModule, type OperationOptions } from 'pkcs11-pool'
import { holds, same } from './check.js'
import { aesCbc, aesEcb, openGcm, unwrapAes } from './cipher.js'
import { LEFTOVER_ID } from './keys.js'
import type { LoadOperation } from './operation.js'
import { CONNECT_MS } from '../settings.js'

const AES = { label: 'aes' }
const CBC = 'CKM_AES_CBC_PAD'
/** Of every key that these operations make on the token. */
const MADE = { CKA_ID: LEFTOVER_ID, CKA_TOKEN: true, CKA_PRIVATE: true } as const
const SECRET = { ...MADE, CKA_CLASS: 'CKO_SECRET_KEY', CKA_KEY_TYPE: 'CKK_AES', CKA_ENCRYPT: true } as const

/** A use of a key that wants the PIN for each. */
export const signWithPin: LoadOperation = {
  name: 'sign with the PIN',
  calls: ['C_Login', 'C_SignInit', 'C_Sign'],
  async run({ client, keys, options }) {
    const data = randomBytes(30)
    const hash = createHash('sha256').update(data).digest()
    const signature = await client.sign({ label: 'each use' }, 'CKM_ECDSA', hash, options)
    const key = { key: createPublicKey(keys.eachUse), dsaEncoding: 'ieee-p1363' } as const
    holds('sign with the PIN: the signature does not verify', verify('sha256', data, key, signature))
  },
}

/** Each runs in the cells of the functions that it calls. */
export const SPECIAL: readonly LoadOperation[] = [
  signWithPin,
  {
    name: 'seal',
    calls: ['C_EncryptInit', 'C_Encrypt', 'C_DecryptInit', 'C_Decrypt'],
    async run({ client, keys, options }) {
      const plain = randomBytes(40)
      const sealed = await client.seal(AES, plain, options)
      same('seal', openGcm(keys.aes, sealed), plain)
      same('open', await client.open(AES, sealed, options), plain)
    },
  },
  {
    name: 'batch',
    calls: [
      'C_EncryptInit',
      'C_Encrypt',
      'C_DecryptInit',
      'C_Decrypt',
      'C_SignInit',
      'C_Sign',
      'C_DigestInit',
      'C_Digest',
    ],
    async run({ client, keys, options }) {
      const [iv, plain] = [randomBytes(16), randomBytes(50)]
      const mechanism = { mechanism: CBC, iv } as const
      const cipher = aesCbc(keys.aes, iv, plain)
      const expected = [cipher, plain, sign('sha256', plain, keys.rsa), createHash('sha256').update(plain).digest()]
      const results = await client.batch(
        [
          { op: 'encrypt', key: AES, mechanism, data: plain },
          { op: 'decrypt', key: AES, mechanism, data: cipher },
          { op: 'sign', key: { label: 'rsa' }, mechanism: 'CKM_SHA256_RSA_PKCS', data: plain },
          { op: 'digest', mechanism: 'CKM_SHA256', data: plain },
        ],
        options,
      )
      // Each answer that there is has to be right, whatever became of the others.
      for (const [at, result] of results.entries()) {
        if (result.status === 'fulfilled') same(`item ${at} of a batch`, result.value as Buffer, expected[at] ?? plain)
      }
      for (const result of results) if (result.status === 'rejected') throw result.reason
    },
  },
  {
    name: 'import, update and destroy',
    calls: ['C_CreateObject', 'C_SetAttributeValue', 'C_DestroyObject'],
    async run({ client, options }) {
      const [label, value] = [fresh(), randomBytes(32)]
      const reference = { label, id: LEFTOVER_ID }
      await client.keys.import({ ...SECRET, CKA_LABEL: label, CKA_VALUE: value }, options)
      await checkEncrypts('an imported key', client, reference, value, options)
      await client.keys.update(reference, { CKA_LABEL: `${label}+` }, options)
      const moved = { label: `${label}+`, id: LEFTOVER_ID }
      await checkEncrypts('a renamed key', client, moved, value, options)
      await client.keys.destroy(moved, options)
      holds('a destroyed key is found', (await client.keys.find(moved, options)).length === 0)
    },
  },
  {
    name: 'copy',
    calls: ['C_CreateObject', 'C_CopyObject', 'C_DestroyObject'],
    run: ({ client, options }) =>
      client.withSession(async (session) => {
        const value = randomBytes(32)
        const first = await session.createObject({ ...SECRET, CKA_TOKEN: false, CKA_VALUE: value })
        const second = await session.copyObject(first, { CKA_LABEL: fresh() })
        await session.destroyObject(first)
        const [iv, plain] = [randomBytes(16), randomBytes(20)]
        same('a copied key', await session.encrypt(second, { mechanism: CBC, iv }, plain), aesCbc(value, iv, plain))
      }, options),
  },
  {
    name: 'generate on the token',
    calls: ['C_GenerateKey', 'C_DestroyObject'],
    async run({ client, options }) {
      const label = fresh()
      const template = { ...MADE, CKA_LABEL: label, CKA_VALUE_LEN: 32, CKA_ENCRYPT: true, CKA_DECRYPT: true }
      await client.keys.generate('CKM_AES_KEY_GEN', template, options)
      const key = { label, id: LEFTOVER_ID }
      const [iv, plain] = [randomBytes(16), randomBytes(20)]
      const cipher = await client.encrypt(key, { mechanism: CBC, iv }, plain, options)
      same('a generated key', await client.decrypt(key, { mechanism: CBC, iv }, cipher, options), plain)
      await client.keys.destroy(key, options)
    },
  },
  {
    name: 'generate a pair',
    calls: ['C_GenerateKeyPair'],
    async run({ client, options }) {
      const common = { ...MADE, CKA_LABEL: fresh(), CKA_EC_PARAMS: Buffer.from('06082a8648ce3d030107', 'hex') }
      const { CKA_EC_PARAMS: _, ...privately } = common
      const pair = await client.keys.generatePair(
        'CKM_EC_KEY_PAIR_GEN',
        { ...common, CKA_PRIVATE: false, CKA_VERIFY: true },
        { ...privately, CKA_SIGN: true },
        options,
      )
      const hash = randomBytes(32)
      const reference = { label: common.CKA_LABEL, id: LEFTOVER_ID }
      const signature = await client.sign(reference, 'CKM_ECDSA', hash, options)
      holds(
        'a generated pair does not fit together',
        await client.verify(reference, 'CKM_ECDSA', hash, signature, options),
      )
      for (const half of [pair.privateKey, pair.publicKey]) {
        await client.keys.destroy({ ...reference, class: half.class }, options)
      }
    },
  },
  {
    name: 'wrap and unwrap',
    calls: ['C_WrapKey', 'C_UnwrapKey'],
    async run({ client, keys, options }) {
      const wrapped = await client.keys.wrap('CKM_AES_KEY_WRAP', AES, AES, options)
      same('wrap', unwrapAes(keys.aes, wrapped), keys.aes)
      const label = fresh()
      await client.keys.unwrap('CKM_AES_KEY_WRAP', AES, wrapped, { ...SECRET, CKA_LABEL: label }, options)
      const reference = { label, id: LEFTOVER_ID }
      await checkEncrypts('an unwrapped key', client, reference, keys.aes, options)
      await client.keys.destroy(reference, options)
    },
  },
  {
    name: 'derive',
    calls: ['C_DeriveKey'],
    async run({ client, keys, options }) {
      const [label, data] = [fresh(), randomBytes(32)]
      const template = { ...SECRET, CKA_LABEL: label, CKA_VALUE_LEN: 32 }
      await client.keys.derive({ mechanism: 'CKM_AES_ECB_ENCRYPT_DATA', data }, AES, template, options)
      const reference = { label, id: LEFTOVER_ID }
      await checkEncrypts('a derived key', client, reference, aesEcb(keys.aes, data), options)
      await client.keys.destroy(reference, options)
    },
  },
  {
    name: 'seed',
    calls: ['C_SeedRandom'],
    run: ({ client, options }) => client.withSession((session) => session.seedRandom(randomBytes(16)), options),
  },
  {
    name: 'session info',
    calls: ['C_GetSessionInfo'],
    run: ({ client, options }) =>
      client.withSession(async (session) => {
        const { state } = await session.getSessionInfo()
        holds(`session info: state ${state}, of a session that can write`, state === 2 || state === 3)
      }, options),
  },
  {
    name: 'inspect',
    calls: [
      'C_GetInfo',
      'C_GetSlotList',
      'C_GetSlotInfo',
      'C_GetTokenInfo',
      'C_GetMechanismList',
      'C_GetMechanismInfo',
    ],
    async run({ module }) {
      const { slots } = await inspectModule(module, { timeoutMs: CONNECT_MS })
      holds('inspect: no slot', slots.length > 0)
    },
  },
]

let made = 0

function fresh(): string {
  made += 1
  return `made ${made}`
}

async function checkEncrypts(
  what: string,
  client: Client,
  reference: { label: string; id: number },
  value: Uint8Array,
  options: OperationOptions,
): Promise<void> {
  const [iv, plain] = [randomBytes(16), randomBytes(20)]
  const cipher = await client.encrypt(reference, { mechanism: CBC, iv }, plain, options)
  same(what, cipher, aesCbc(value, iv, plain))
}
