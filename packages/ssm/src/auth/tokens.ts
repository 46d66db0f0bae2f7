import { randomUUID } from 'node:crypto'
import { errors, jwtVerify } from 'jose'
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

/** Makes and verifies the tokens that clients carry: JWT (RFC 7519), signed by RS256 on the HSM, verified in this process. */
export class Tokens {
  readonly #keys: Pick<SigningKeys, 'sign' | 'find'>
  readonly #now: () => number

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
    try {
      const { payload } = await jwtVerify(
        token,
        // only the name of the key counts of what the token says about it: `jwk`, `jku` and `x5c` are not looked at
        async ({ kid }) => {
          const key = kid === undefined ? undefined : await this.#keys.find(kid)
          if (key === undefined) throw new errors.JWKSNoMatchingKey()
          return key
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
      const { sub, ver } = payload
      if (typeof sub !== 'string' || typeof ver !== 'number') throw invalidToken()
      return { serviceId: sub, credentialVersion: ver }
    } catch (error) {
      if (error instanceof errors.JOSEError) throw invalidToken(error)
      throw error
    }
  }
}

function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url')
}
