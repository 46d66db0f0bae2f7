import { createHash, createPrivateKey, generateKeyPairSync, sign } from 'node:crypto'
import { type CryptoKey, importJWK } from 'jose'
import { beforeEach, describe, expect, it } from 'vitest'
import { Tokens } from '../../src/auth/tokens.js'

const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
const other = generateKeyPairSync('rsa', { modulusLength: 2048 })
const bearer = { serviceId: 'udm', credentialVersion: 1 }
const DAY_MS = 24 * 60 * 60 * 1_000

async function publicKeyOf({ publicKey }: typeof pair): Promise<CryptoKey> {
  return (await importJWK(publicKey.export({ format: 'jwk' }), 'RS256')) as CryptoKey
}

describe('a token that was verified before', () => {
  const began = 1_800_000_000_000
  let now = began
  const known = new Map<string, CryptoKey>()
  const keys = {
    find: (kid: string) => Promise.resolve(known.get(kid)),
    sign: (input: (kid: string) => string) => {
      const text = input('one')
      const signature = sign(
        'sha256',
        Buffer.from(text),
        createPrivateKey(pair.privateKey.export({ format: 'pem', type: 'pkcs8' })),
      )
      return Promise.resolve(`${text}.${signature.toString('base64url')}`)
    },
  }
  const tokens = new Tokens(keys, () => now)
  let token = ''

  beforeEach(async () => {
    now = began
    known.set('one', await publicKeyOf(pair))
    token = await tokens.issue(bearer)
    await tokens.verify(token)
  })

  it('is good again, with the key read anew too', async () => {
    expect(await tokens.verify(token)).toEqual(bearer)
    known.set('one', await publicKeyOf(pair))
    expect(await tokens.verify(token)).toEqual(bearer)
  })

  it.each([
    ['when its key is not there any more', () => known.delete('one')],
    ['when its key is another', async () => known.set('one', await publicKeyOf(other))],
    ['when it has expired', () => (now += DAY_MS + 31_000)],
    ['when the clock was set back', () => (now -= 60_000)],
  ])('is refused %s', async (_when, happens) => {
    await happens()
    await expect(tokens.verify(token)).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it('is refused with one character of any part changed', async () => {
    const place = createHash('sha256').update(token).digest().readUInt16BE() % (token.length - 1)
    for (const at of [0, place, token.length - 2]) {
      const changed = token[at] === 'A' ? 'B' : 'A'
      const altered = token.slice(0, at) + changed + token.slice(at + 1)
      await expect(tokens.verify(altered)).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
    }
  })
})
