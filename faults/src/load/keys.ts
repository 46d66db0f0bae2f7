import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import type { Client } from 'pkcs11-pool'

const P256 = Buffer.from('06082a8648ce3d030107', 'hex')

/** The keys of the load, on the token under these labels, and off it for computations that share nothing with the library or the token. */
export interface KnownKeys {
  aes: Buffer
  rsa: KeyObject
  ec: KeyObject
  /** of a key that wants the PIN for each use */
  eachUse: KeyObject
}

/** The CKA_ID of every object that a cell may leave behind on the token. */
export const LEFTOVER_ID = 0x1ef7

/** Puts keys on the token whose values are known. */
export async function importKeys(client: Client): Promise<KnownKeys> {
  const keys: KnownKeys = {
    aes: randomBytes(32),
    rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
    ec: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
    eachUse: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
  }
  await client.keys.import({
    CKA_CLASS: 'CKO_SECRET_KEY',
    CKA_KEY_TYPE: 'CKK_AES',
    CKA_LABEL: 'aes',
    CKA_TOKEN: true,
    CKA_PRIVATE: true,
    CKA_ENCRYPT: true,
    CKA_DECRYPT: true,
    CKA_WRAP: true,
    CKA_UNWRAP: true,
    CKA_DERIVE: true,
    CKA_EXTRACTABLE: true,
    CKA_SENSITIVE: false,
    CKA_VALUE: keys.aes,
  })
  await importRsa(client, keys.rsa)
  await importEc(client, 'ec', keys.ec, false)
  await importEc(client, 'each use', keys.eachUse, true)
  return keys
}

async function importRsa(client: Client, key: KeyObject): Promise<void> {
  const { n, e, d, p, q, dp, dq, qi } = parts(key)
  const common = {
    CKA_KEY_TYPE: 'CKK_RSA',
    CKA_LABEL: 'rsa',
    CKA_TOKEN: true,
    CKA_MODULUS: n,
    CKA_PUBLIC_EXPONENT: e,
  } as const
  await client.keys.import({ ...common, CKA_CLASS: 'CKO_PUBLIC_KEY', CKA_VERIFY: true })
  await client.keys.import({
    ...common,
    CKA_CLASS: 'CKO_PRIVATE_KEY',
    CKA_PRIVATE: true,
    CKA_SIGN: true,
    CKA_PRIVATE_EXPONENT: d,
    CKA_PRIME_1: p,
    CKA_PRIME_2: q,
    CKA_EXPONENT_1: dp,
    CKA_EXPONENT_2: dq,
    CKA_COEFFICIENT: qi,
  })
}

async function importEc(client: Client, label: string, key: KeyObject, alwaysAuthenticate: boolean): Promise<void> {
  const { d } = parts(key)
  await client.keys.import({
    CKA_CLASS: 'CKO_PRIVATE_KEY',
    CKA_KEY_TYPE: 'CKK_EC',
    CKA_LABEL: label,
    CKA_TOKEN: true,
    CKA_PRIVATE: true,
    CKA_SIGN: true,
    CKA_ALWAYS_AUTHENTICATE: alwaysAuthenticate,
    CKA_EC_PARAMS: P256,
    CKA_VALUE: d,
  })
}

/** The numbers of a private key; those that it does not have are empty. */
function parts(key: KeyObject): Record<'n' | 'e' | 'd' | 'p' | 'q' | 'dp' | 'dq' | 'qi', Buffer> {
  const jwk = createPrivateKey(key.export({ format: 'pem', type: 'pkcs8' })).export({ format: 'jwk' })
  const part = (name: 'n' | 'e' | 'd' | 'p' | 'q' | 'dp' | 'dq' | 'qi') =>
    Buffer.from(String(jwk[name] ?? ''), 'base64url')
  return {
    n: part('n'),
    e: part('e'),
    d: part('d'),
    p: part('p'),
    q: part('q'),
    dp: part('dp'),
    dq: part('dq'),
    qi: part('qi'),
  }
}
