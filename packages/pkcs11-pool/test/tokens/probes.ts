import {
  constants,
  createCipheriv,
  createDecipheriv,
  createHash,
  type KeyObject,
  publicEncrypt,
  randomBytes,
  verify,
} from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateRawSync } from 'node:zlib'
import { pkcs11Tool, type TestToken } from 'testkit'
import { expect } from 'vitest'
import type { Client, Mechanism } from '../../src/index.js'
import {
  generateAes,
  generateEc,
  generateRsa,
  importAes,
  importEc,
  importRsa,
  type PairOnToken,
  type SecretOnToken,
  type TestKeys,
} from './keys.js'

/** What a probe works with. */
export interface Probing {
  token: TestToken
  client: Client
  keys: TestKeys
}

/**
 * Does one thing on the token and has a foreign program check it: node:crypto with the same key, or another binding or pkcs11-tool in
 * another process. It rejects with the CKR where the token cannot.
 */
export type Probe = (probing: Probing) => Promise<void>

export const COLUMNS = ['find', 'generate', 'import', 'AES-CBC', 'AES-GCM', 'RSA', 'ECDSA', 'random'] as const
export type Column = (typeof COLUMNS)[number]

/** The key pair that another program has made on the token before the client was there. */
export const FOREIGN = { label: 'made-elsewhere', id: 7 } as const

/** The AES key that the token's own tool has made. */
export const VENDOR_AES = 'vendor-aes'

const plain = Buffer.from('what an HSM encrypts, node:crypto decrypts')
const message = Buffer.from('what an HSM signs, node:crypto verifies')
const sha256 = (data: Buffer): Buffer => createHash('sha256').update(data).digest()
/** A DigestInfo for SHA-256 (RFC 8017, section 9.2) up to the digest. */
const DIGEST_INFO = Buffer.from('3031300d060960864801650304020105000420', 'hex')

export const PROBES: Record<Column, Record<string, Probe>> = {
  find: {
    'a pair that another program made': async ({ client }) => {
      const found = await client.keys.find({ label: FOREIGN.label })
      expect(found.map((key) => key.class).sort()).toEqual(['CKO_PRIVATE_KEY', 'CKO_PUBLIC_KEY'])
      for (const { id, keyType } of found) expect([id.toString('hex'), keyType]).toEqual(['00000007', 'CKK_RSA'])
    },
    'by id': async ({ client }) => {
      const { label } = await client.keys.get({ id: FOREIGN.id, class: 'CKO_PRIVATE_KEY' })
      expect(label).toBe(FOREIGN.label)
    },
    'nothing where nothing is': async ({ client }) => {
      expect(await client.keys.find({ label: 'nowhere' })).toEqual([])
    },
  },
  generate: {
    AES: async (probing) => {
      const { key, value } = await generateAes(probing.client)
      expect(value).toHaveLength(32)
      expect(seen(probing, key.id)).toEqual(['CKO_SECRET_KEY'])
      await encryptsBlocks(probing.client, { key, value })
    },
    RSA: async (probing) => {
      const pair = await generateRsa(probing.client)
      expect(seen(probing, pair.key.id)).toEqual(['CKO_PRIVATE_KEY', 'CKO_PUBLIC_KEY'])
      await signsRsa(probing.client, pair)
    },
    EC: async (probing) => {
      const pair = await generateEc(probing.client)
      expect(seen(probing, pair.key.id)).toEqual(['CKO_PRIVATE_KEY', 'CKO_PUBLIC_KEY'])
      await signsEc(probing.client, pair, 'CKM_ECDSA', sha256(message))
    },
  },
  import: {
    AES: async ({ client }) => encryptsBlocks(client, await importAes(client)),
    RSA: async ({ client }) => signsRsa(client, await importRsa(client)),
    EC: async ({ client }) => signsEc(client, await importEc(client), 'CKM_ECDSA', sha256(message)),
  },
  'AES-CBC': {
    'encrypt with padding': async ({ client, token, keys }) => {
      const { key, value } = await keys.aes()
      const iv = randomBytes(16)
      const encrypted = await client.encrypt(key, { mechanism: 'CKM_AES_CBC_PAD', iv }, plain)
      expect(foreignCbc(token, value, iv).decrypt(encrypted)).toEqual(plain)
    },
    'decrypt with padding': async ({ client, token, keys }) => {
      const { key, value } = await keys.aes()
      const iv = randomBytes(16)
      const encrypted = foreignCbc(token, value, iv).encrypt(plain)
      expect(await client.decrypt(key, { mechanism: 'CKM_AES_CBC_PAD', iv }, encrypted)).toEqual(plain)
    },
    'without padding': async ({ client, token, keys }) => {
      const { key, value } = await keys.aes()
      const iv = randomBytes(16)
      const blocks = randomBytes(64)
      const mechanism = { mechanism: 'CKM_AES_CBC', iv } as const
      const foreign = foreignCbc(token, value, iv)
      const encrypted = await client.encrypt(key, mechanism, blocks)
      expect(encrypted).toEqual(foreign.encrypt(blocks).subarray(0, 64))
      expect(await client.decrypt(key, mechanism, encrypted)).toEqual(blocks)
    },
  },
  'AES-GCM': {
    'seal and open': async ({ client, keys }) => {
      const { key, value } = await keys.aes()
      const aad = Buffer.from('context')
      const sealed = await client.seal(key, plain, { aad })
      const decipher = createDecipheriv('aes-256-gcm', known(value), sealed.iv).setAAD(aad).setAuthTag(sealed.tag)
      expect(Buffer.concat([decipher.update(sealed.ciphertext), decipher.final()])).toEqual(plain)
      expect(await client.open(key, sealed, { aad })).toEqual(plain)
    },
    'with the caller’s IV': async ({ client, keys }) => {
      const { key, value } = await keys.aes()
      const iv = randomBytes(12)
      const encrypted = await client.encrypt(key, { mechanism: 'CKM_AES_GCM', iv }, plain)
      const cipher = createCipheriv('aes-256-gcm', known(value), iv)
      expect(encrypted).toEqual(Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]))
    },
  },
  RSA: {
    'PKCS #1 signature': async ({ client, keys }) => signsRsa(client, await keys.rsa()),
    'with SHA-256 on the token': async ({ client, keys }) => {
      const { key, publicKey } = await keys.rsa()
      const signature = await client.sign(key, 'CKM_SHA256_RSA_PKCS', message)
      expect(verify('sha256', message, publicKey, signature)).toBe(true)
    },
    PSS: async ({ client, keys }) => {
      const { key, publicKey } = await keys.rsa()
      const signature = await client.sign(
        key,
        { mechanism: 'CKM_RSA_PKCS_PSS', hashAlg: 'CKM_SHA256' },
        sha256(message),
      )
      expect(verifiesPss(publicKey, signature)).toBe(true)
    },
    'PSS with SHA-256 on the token': async ({ client, keys }) => {
      const { key, publicKey } = await keys.rsa()
      const mechanism = { mechanism: 'CKM_SHA256_RSA_PKCS_PSS', hashAlg: 'CKM_SHA256' } as const
      expect(verifiesPss(publicKey, await client.sign(key, mechanism, message))).toBe(true)
    },
    'PKCS #1 decryption': async ({ client, keys }) => {
      const { key, publicKey } = await keys.rsa()
      const encrypted = publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, plain)
      expect(await client.decrypt(key, 'CKM_RSA_PKCS', encrypted)).toEqual(plain)
    },
    'OAEP with SHA-1': oaep('sha1', { mechanism: 'CKM_RSA_PKCS_OAEP', hashAlg: 'CKM_SHA_1' }),
    'OAEP with SHA-256': oaep('sha256', { mechanism: 'CKM_RSA_PKCS_OAEP', hashAlg: 'CKM_SHA256' }),
  },
  ECDSA: {
    'of a digest': async ({ client, keys }) => signsEc(client, await keys.ec(), 'CKM_ECDSA', sha256(message)),
    'with SHA-256 on the token': async ({ client, keys }) =>
      signsEc(client, await keys.ec(), 'CKM_ECDSA_SHA256', message),
  },
  random: {
    bytes: async ({ client }) => {
      const [one, other] = await Promise.all([client.generateRandom(4_096), client.generateRandom(4_096)])
      expect(one).toHaveLength(4_096)
      expect(one.equals(other)).toBe(false)
      // what compresses is not random
      expect(deflateRawSync(Buffer.concat([one, other])).length).toBeGreaterThan(8_192)
    },
  },
}

/** The classes of the objects with an id, as another process sees them. */
function seen({ token }: Probing, id: Uint8Array | number | undefined): string[] {
  const wanted = Buffer.from(id as Uint8Array).toString('hex')
  const found = token.objects().filter((object) => object.id === wanted)
  return found.map((object) => object.class).sort()
}

async function encryptsBlocks(client: Client, { key, value }: SecretOnToken): Promise<void> {
  const cipher = createCipheriv('aes-256-ecb', known(value), null).setAutoPadding(false)
  const blocks = randomBytes(48)
  expect(await client.encrypt(key, 'CKM_AES_ECB', blocks)).toEqual(cipher.update(blocks))
}

async function signsRsa(client: Client, { key, publicKey }: PairOnToken): Promise<void> {
  const signature = await client.sign(key, 'CKM_RSA_PKCS', Buffer.concat([DIGEST_INFO, sha256(message)]))
  expect(verify('sha256', message, publicKey, signature)).toBe(true)
}

function verifiesPss(key: KeyObject, signature: Buffer): boolean {
  const padding = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO }
  return verify('sha256', message, { key, ...padding }, signature)
}

async function signsEc(client: Client, pair: PairOnToken, mechanism: Mechanism, data: Buffer): Promise<void> {
  const signature = await client.sign(pair.key, mechanism, data)
  expect(verify('sha256', message, { key: pair.publicKey, dsaEncoding: 'ieee-p1363' }, signature)).toBe(true)
}

function oaep(oaepHash: string, mechanism: Mechanism): Probe {
  return async ({ client, keys }) => {
    const { key, publicKey } = await keys.rsa()
    const encrypted = publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, plain)
    expect(await client.decrypt(key, mechanism, encrypted)).toEqual(plain)
  }
}

function known(value: Buffer | undefined): Buffer {
  if (value === undefined) throw new Error('the key’s value is not known, so no other program can check what it does')
  return value
}

/** AES-CBC with PKCS #7 padding by another program: node:crypto, or pkcs11-tool where the value never leaves the token. */
function foreignCbc(
  token: TestToken,
  value: Buffer | undefined,
  iv: Buffer,
): Record<'encrypt' | 'decrypt', (data: Buffer) => Buffer> {
  if (value !== undefined) {
    return {
      encrypt: (data) => {
        const cipher = createCipheriv('aes-256-cbc', value, iv)
        return Buffer.concat([cipher.update(data), cipher.final()])
      },
      decrypt: (data) => {
        const decipher = createDecipheriv('aes-256-cbc', value, iv)
        return Buffer.concat([decipher.update(data), decipher.final()])
      },
    }
  }
  // its own padding does not work on every token, so it is added and taken off here
  const id = token.objects().find((object) => object.label === VENDOR_AES)?.id ?? ''
  const run = (action: 'encrypt' | 'decrypt', data: Buffer): Buffer => {
    const directory = mkdtempSync(join(tmpdir(), 'pkcs11-tool-'))
    const [input, output] = [join(directory, 'in'), join(directory, 'out')]
    try {
      writeFileSync(input, data)
      const how = ['--mechanism', 'AES-CBC', '--iv', iv.toString('hex'), '--id', id]
      pkcs11Tool(token, [`--${action}`, ...how, '--input-file', input, '--output-file', output])
      return readFileSync(output)
    } finally {
      rmSync(directory, { recursive: true })
    }
  }
  return {
    encrypt: (data) => {
      const missing = 16 - (data.length % 16)
      return run('encrypt', Buffer.concat([data, Buffer.alloc(missing, missing)]))
    },
    decrypt: (data) => {
      const padded = run('decrypt', data)
      return padded.subarray(0, padded.length - (padded.at(-1) ?? 0))
    },
  }
}
