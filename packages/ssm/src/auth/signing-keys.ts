import { type CryptoKey, calculateJwkThumbprint, importJWK, type JWK } from 'jose'
import type { Client } from 'pkcs11-pool'
import { decodeKeyId } from '../hsm/key-id.js'

export const JWT_KEY_LABEL = 'JWT_SIGNING_KEY'

/** Milliseconds for which the keys on the token are believed, and between two searches for one that is not known. */
const FRESH_MS = 10_000
const UNKNOWN_KEY_MS = 1_000

/** A public key as others get it. */
export type PublicJwk = JWK & { kid: string }

interface SigningKey {
  /** counts up with each rotation */
  id: number
  ckaId: Buffer
  kid: string
  jwk: PublicJwk
  publicKey: CryptoKey
}

/** No key is there to sign tokens with. */
export class SigningKeyMissing extends Error {
  constructor() {
    super(`the token has no RSA key pair ${JWT_KEY_LABEL}: ssm init makes it`)
    this.name = 'SigningKeyMissing'
  }
}

/**
 * The keys that sign tokens: RSA pairs on the token under one label. The one with the highest id signs; all of them verify, so that
 * tokens stay good while a new key takes over. Keys that another process makes are found within 10 s, and at once where a token names one.
 */
export class SigningKeys {
  readonly #client: Client
  readonly #now: () => number
  #keys: readonly SigningKey[] = []
  #searchedAt = Number.NEGATIVE_INFINITY
  #readAt = Number.NEGATIVE_INFINITY
  #searching: Promise<void> | undefined

  /** @param now milliseconds of a clock that never goes back */
  constructor(client: Client, now: () => number = () => performance.now()) {
    this.#client = client
    this.#now = now
  }

  /** The public halves, as `GET /.well-known/jwks.json` shows them. */
  async publicKeys(): Promise<PublicJwk[]> {
    return (await this.#current()).map(({ jwk }) => jwk)
  }

  /** The public key of that name; undefined where the token has none. */
  async find(kid: string): Promise<CryptoKey | undefined> {
    const known = (await this.#current()).find((key) => key.kid === kid)
    if (known !== undefined) return known.publicKey
    // Anybody can make up names, so the token is not asked for each; a search that is under way anyway is waited for.
    if (this.#searching === undefined && this.#now() - this.#searchedAt < UNKNOWN_KEY_MS) return undefined
    await this.#search()
    return this.#keys.find((key) => key.kid === kid)?.publicKey
  }

  /** Signs by RS256 with the newest key; `input` is told the name of that key first. @throws SigningKeyMissing */
  async sign(input: (kid: string) => string): Promise<string> {
    const key = (await this.#current()).at(-1)
    if (key === undefined) throw new SigningKeyMissing()
    const text = input(key.kid)
    const signature = await this.#client.sign(
      { label: JWT_KEY_LABEL, id: key.ckaId, class: 'CKO_PRIVATE_KEY', private: true },
      'CKM_SHA256_RSA_PKCS',
      Buffer.from(text),
    )
    return `${text}.${signature.toString('base64url')}`
  }

  async #current(): Promise<readonly SigningKey[]> {
    if (this.#keys.length === 0) await this.#search()
    // the token may be away for a while: what is known stays good meanwhile
    else if (this.#now() - this.#searchedAt >= FRESH_MS) this.#search().catch(() => {})
    // but where nobody has asked for long, one of them may have been revoked long ago
    if (this.#now() - this.#readAt >= 2 * FRESH_MS) await this.#searching?.catch(() => {})
    return this.#keys
  }

  #search(): Promise<void> {
    this.#searching ??= this.#read().finally(() => {
      this.#searching = undefined
    })
    return this.#searching
  }

  async #read(): Promise<void> {
    const asked = this.#now()
    this.#searchedAt = asked
    const found = await readPublicKeys(this.#client, JWT_KEY_LABEL)
    const keys = await Promise.all(
      found.map(async ({ id, ckaId, jwk }) => {
        const kid = await calculateJwkThumbprint(jwk)
        const publicKey = await importJWK(jwk, 'RS256')
        // for a public RSA key it is always a CryptoKey
        return { id, ckaId, kid, jwk: { ...jwk, kid, alg: 'RS256', use: 'sig' }, publicKey: publicKey as CryptoKey }
      }),
    )
    this.#keys = keys.toSorted((a, b) => a.id - b.id)
    this.#readAt = asked
  }
}

/** The public half of an RSA key on the token. */
export interface TokenPublicKey {
  id: number
  ckaId: Buffer
  jwk: JWK
}

/**
 * The public halves of the RSA keys under a label whose ids read as numbers, weak ones left out. They are read from the private halves:
 * a public key, and whatever else is no private object, can be put on a token by whoever reaches it without its PIN.
 */
export function readPublicKeys(client: Client, label: string): Promise<TokenPublicKey[]> {
  return client.withSession(async (session) => {
    const handles = await session.findObjects({
      CKA_CLASS: 'CKO_PRIVATE_KEY',
      CKA_KEY_TYPE: 'CKK_RSA',
      CKA_LABEL: label,
      CKA_TOKEN: true,
      CKA_PRIVATE: true,
    })
    const keys: TokenPublicKey[] = []
    for (const handle of handles) {
      const { CKA_ID, CKA_MODULUS, CKA_PUBLIC_EXPONENT } = await session.getAttributes(handle, [
        'CKA_ID',
        'CKA_MODULUS',
        'CKA_PUBLIC_EXPONENT',
      ])
      const ckaId = CKA_ID ?? Buffer.alloc(0)
      const decoded = decodeKeyId(ckaId)
      if (decoded === undefined || decoded.replacement) continue
      if (CKA_MODULUS === undefined || CKA_PUBLIC_EXPONENT === undefined) continue
      if (CKA_MODULUS.length < MIN_MODULUS_BYTES) continue
      const [n, e] = [CKA_MODULUS, CKA_PUBLIC_EXPONENT].map(toBase64Url)
      keys.push({ id: decoded.id, ckaId, jwk: { kty: 'RSA', n: n ?? '', e: e ?? '' } })
    }
    return keys
  })
}

const MIN_MODULUS_BYTES = 256

/** An integer of a JWK has no leading zeros (RFC 7518, section 2), which some tokens give. */
function toBase64Url(bytes: Buffer): string {
  const first = bytes.findIndex((byte) => byte !== 0)
  return bytes.subarray(Math.max(0, first)).toString('base64url')
}
