import { createHash, randomUUID } from 'node:crypto'
import { type CryptoKey, errors, jwtVerify } from 'jose'
import { invalidToken } from './auth-problems.js'
import type { SigningKeys } from './signing-keys.js'

const ISSUER = 'ssm-service'
const AUDIENCE = 'ssm-clients'
export const TOKEN_LIFETIME_SECONDS = 24 * 60 * 60
const CLOCK_SKEW_SECONDS = 30

/** Whom a token was given to. */
export interface Bearer {
  serviceId: string
  credentialVersion: number
}

/** A token whose signature was right: what it says, and between which seconds since 1970. */
interface Proven {
  kid: string
  key: CryptoKey
  bearer: Bearer
  notBefore: number
  expires: number
}

/** More tokens than clients send at a time, by far. */
const MOST_PROVEN = 10_000

/** Makes and verifies the tokens that clients carry: JWT (RFC 7519), signed by RS256 on the HSM, verified in this process. */
export class Tokens {
  readonly #keys: Pick<SigningKeys, 'sign' | 'find'>
  readonly #now: () => number
  /**
   * By the token's hash: a client sends the same token with each request, and to verify its signature costs more than all else of one.
   * With keys that were read anew, each token is verified again.
   */
  readonly #proven = new Map<string, Proven>()

  /** @param now milliseconds since 1970 */
  constructor(keys: Pick<SigningKeys, 'sign' | 'find'>, now: () => number = Date.now) {
    this.#keys = keys
    this.#now = now
  }

  issue({ serviceId, credentialVersion }: Bearer): Promise<string> {
    const now = Math.floor(this.#now() / 1000)
    const claims = {
      iss: ISSUER,
      sub: serviceId,
      aud: AUDIENCE,
      iat: now,
      nbf: now,
      exp: now + TOKEN_LIFETIME_SECONDS,
      jti: randomUUID(),
      // a new password ends the tokens of the old one
      ver: credentialVersion,
    }
    return this.#keys.sign((kid) => `${encode({ alg: 'RS256', typ: 'JWT', kid })}.${encode(claims)}`)
  }

  /** @throws Problem UNAUTHORIZED for whatever is no valid token */
  async verify(token: string): Promise<Bearer> {
    // the token itself would be as good in a dump of the memory as a password
    const hash = createHash('sha256').update(token).digest('base64')
    const proven = this.#proven.get(hash)
    if (proven !== undefined && (await this.#holds(proven))) return proven.bearer
    this.#proven.delete(hash)
    const verified = await this.#prove(token)
    if (this.#proven.size >= MOST_PROVEN) this.#proven.clear()
    this.#proven.set(hash, verified)
    return verified.bearer
  }

  async #holds({ kid, key, notBefore, expires }: Proven): Promise<boolean> {
    const now = this.#now() / 1_000
    return notBefore <= now && now < expires && (await this.#keys.find(kid)) === key
  }

  async #prove(token: string): Promise<Proven> {
    try {
      const { payload, protectedHeader, key } = await jwtVerify(
        token,
        // only the name of the key counts of what the token says about it: `jwk`, `jku` and `x5c` are not looked at
        async ({ kid }) => {
          const found = kid === undefined ? undefined : await this.#keys.find(kid)
          if (found === undefined) throw new errors.JWKSNoMatchingKey()
          return found
        },
        {
          algorithms: ['RS256'],
          issuer: ISSUER,
          audience: AUDIENCE,
          clockTolerance: CLOCK_SKEW_SECONDS,
          requiredClaims: ['sub', 'iat', 'nbf', 'exp', 'jti', 'ver'],
          currentDate: new Date(this.#now()),
        },
      )
      const { sub, ver, nbf, exp } = payload
      const { kid } = protectedHeader
      if (typeof sub !== 'string' || typeof ver !== 'number') throw invalidToken()
      if (kid === undefined || nbf === undefined || exp === undefined) throw invalidToken()
      return { kid, key, bearer: { serviceId: sub, credentialVersion: ver }, notBefore: nbf, expires: exp }
    } catch (error) {
      if (error instanceof errors.JOSEError) throw invalidToken(error)
      throw error
    }
  }
}

function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url')
}
