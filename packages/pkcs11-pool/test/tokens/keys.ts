import {
  createDecipheriv,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  type KeyPairKeyObjectResult,
  randomBytes,
} from 'node:crypto'
import type { TestToken } from 'testkit'
import { type Client, CryptokiError, type Key, type KeyReference, type Template } from '../../src/index.js'

/** The name of curve P-256 in DER. */
const P256 = Buffer.from('06082a8648ce3d030107', 'hex')
const bytes = (text: string | undefined): Buffer => Buffer.from(text ?? '', 'base64url')

/** A key for the tests, with what another program needs to check what is done with it. */
export interface PairOnToken {
  key: KeyReference
  publicKey: KeyObject
}

/** `value` is undefined where the token lets nobody have it. */
export interface SecretOnToken {
  key: KeyReference
  value: Buffer | undefined
}

/** The labels of all keys that are made here. */
export const LABELS = [
  'imported-aes',
  'generated-aes',
  'imported-rsa',
  'generated-rsa',
  'imported-ec',
  'generated-ec',
] as const

/** A label and an id of its own: some tokens keep one secret key an id. */
function named(label: (typeof LABELS)[number]): Template & { CKA_LABEL: string; CKA_ID: Buffer } {
  return { CKA_LABEL: label, CKA_ID: randomBytes(8) }
}

/** What the private half and secret keys have in common. */
const GUARDED: Template = { CKA_TOKEN: true, CKA_PRIVATE: true, CKA_SENSITIVE: true, CKA_EXTRACTABLE: false }
const SECRET: Template = { CKA_TOKEN: true, CKA_PRIVATE: true, CKA_ENCRYPT: true, CKA_DECRYPT: true }

export async function importAes(client: Client): Promise<SecretOnToken> {
  const value = randomBytes(32)
  const name = named('imported-aes')
  const kind = { CKA_CLASS: 'CKO_SECRET_KEY', CKA_KEY_TYPE: 'CKK_AES' } as const
  await client.keys.import({
    ...SECRET,
    ...kind,
    ...name,
    CKA_SENSITIVE: true,
    CKA_EXTRACTABLE: false,
    CKA_VALUE: value,
  })
  return { key: { id: name.CKA_ID }, value }
}

/** With a value that may be read, so that another program can do the same with it. */
export async function generateAes(client: Client): Promise<SecretOnToken> {
  const name = named('generated-aes')
  const open = { CKA_SENSITIVE: false, CKA_EXTRACTABLE: true, CKA_VALUE_LEN: 32 }
  const { handle } = await client.keys.generate('CKM_AES_KEY_GEN', { ...SECRET, ...open, ...name })
  const { CKA_VALUE: value } = await client.withSession((session) => session.getAttributes(handle, ['CKA_VALUE']))
  return { key: { id: name.CKA_ID }, value: value ?? (await wrappedOut(client, { id: name.CKA_ID })) }
}

/** The value of a key that may leave the token only wrapped by another, which is known. */
async function wrappedOut(client: Client, key: KeyReference): Promise<Buffer> {
  const wrapping = await importAes(client)
  const wrapped = await client.keys.wrap('CKM_AES_ECB', wrapping.key, key)
  const decipher = createDecipheriv('aes-256-ecb', wrapping.value ?? '', null).setAutoPadding(false)
  return decipher.update(wrapped)
}

export async function importRsa(client: Client): Promise<PairOnToken> {
  const { publicKey, privateKey } = rsaPair()
  const jwk = privateKey.export({ format: 'jwk' })
  const name = named('imported-rsa')
  await client.keys.import({
    ...GUARDED,
    ...name,
    CKA_CLASS: 'CKO_PRIVATE_KEY',
    CKA_KEY_TYPE: 'CKK_RSA',
    CKA_SIGN: true,
    CKA_DECRYPT: true,
    CKA_MODULUS: bytes(jwk.n),
    CKA_PUBLIC_EXPONENT: bytes(jwk.e),
    CKA_PRIVATE_EXPONENT: bytes(jwk.d),
    CKA_PRIME_1: bytes(jwk.p),
    CKA_PRIME_2: bytes(jwk.q),
    CKA_EXPONENT_1: bytes(jwk.dp),
    CKA_EXPONENT_2: bytes(jwk.dq),
    CKA_COEFFICIENT: bytes(jwk.qi),
  })
  return { key: { id: name.CKA_ID }, publicKey }
}

export async function generateRsa(client: Client): Promise<PairOnToken> {
  const name = named('generated-rsa')
  const { publicKey } = await client.keys.generatePair(
    'CKM_RSA_PKCS_KEY_PAIR_GEN',
    {
      ...name,
      CKA_TOKEN: true,
      CKA_VERIFY: true,
      CKA_ENCRYPT: true,
      CKA_MODULUS_BITS: 2048,
      CKA_PUBLIC_EXPONENT: Buffer.from([1, 0, 1]),
    },
    { ...GUARDED, ...name, CKA_SIGN: true, CKA_DECRYPT: true },
  )
  return { key: { id: name.CKA_ID }, publicKey: await publicRsa(client, publicKey) }
}

/** The public half of a pair on the token, for node:crypto. */
export async function publicRsa(client: Client, { handle }: Key): Promise<KeyObject> {
  const names = ['CKA_MODULUS', 'CKA_PUBLIC_EXPONENT'] as const
  const { CKA_MODULUS: n, CKA_PUBLIC_EXPONENT: e } = await client.withSession((session) =>
    session.getAttributes(handle, names),
  )
  return fromJwk({ kty: 'RSA', n: n?.toString('base64url') ?? '', e: e?.toString('base64url') ?? '' })
}

export async function importEc(client: Client): Promise<PairOnToken> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const name = named('imported-ec')
  await client.keys.import({
    ...GUARDED,
    ...name,
    CKA_CLASS: 'CKO_PRIVATE_KEY',
    CKA_KEY_TYPE: 'CKK_EC',
    CKA_SIGN: true,
    CKA_EC_PARAMS: P256,
    CKA_VALUE: bytes(privateKey.export({ format: 'jwk' }).d),
  })
  return { key: { id: name.CKA_ID }, publicKey }
}

export async function generateEc(client: Client): Promise<PairOnToken> {
  const name = named('generated-ec')
  const { publicKey } = await client.keys.generatePair(
    'CKM_EC_KEY_PAIR_GEN',
    { ...name, CKA_TOKEN: true, CKA_VERIFY: true, CKA_EC_PARAMS: P256 },
    { ...GUARDED, ...name, CKA_SIGN: true },
  )
  const { CKA_EC_POINT: point } = await client.withSession((session) =>
    session.getAttributes(publicKey.handle, ['CKA_EC_POINT']),
  )
  // an OCTET STRING around 04, x and y
  const xy = point?.subarray(-64) ?? Buffer.alloc(0)
  const [x, y] = [xy.subarray(0, 32).toString('base64url'), xy.subarray(32).toString('base64url')]
  return { key: { id: name.CKA_ID }, publicKey: fromJwk({ kty: 'EC', crv: 'P-256', x, y }) }
}

/** Keys to do something with: known ones where the token takes such, else its own. Each is made once. */
export class TestKeys {
  #aes: Promise<SecretOnToken> | undefined
  #rsa: Promise<PairOnToken> | undefined
  #ec: Promise<PairOnToken> | undefined

  constructor(
    readonly client: Client,
    readonly token: TestToken,
    /** an AES key that the token's own tool has made, for tokens that let nobody else make one */
    readonly vendorAes: KeyReference,
  ) {}

  aes(): Promise<SecretOnToken> {
    this.#aes ??= orElse(importAes(this.client), async () => ({ key: this.vendorAes, value: undefined }))
    return this.#aes
  }

  rsa(): Promise<PairOnToken> {
    this.#rsa ??= orElse(importRsa(this.client), () => generateRsa(this.client))
    return this.#rsa
  }

  ec(): Promise<PairOnToken> {
    this.#ec ??= orElse(importEc(this.client), () => generateEc(this.client))
    return this.#ec
  }
}

async function orElse<T>(first: Promise<T>, second: () => Promise<T>): Promise<T> {
  try {
    return await first
  } catch (error) {
    if (error instanceof CryptokiError) return second()
    throw error
  }
}

function rsaPair(): KeyPairKeyObjectResult {
  return generateKeyPairSync('rsa', { modulusLength: 2048 })
}

function fromJwk(key: JsonWebKey): KeyObject {
  return createPublicKey({ key, format: 'jwk' })
}
