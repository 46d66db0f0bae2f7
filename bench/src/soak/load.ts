import {
  createCipheriv,
  createHash,
  createPublicKey,
  type KeyObject,
  randomBytes,
  randomInt,
  sign,
  verify,
} from 'node:crypto'
import { type Client, Pkcs11PoolError } from 'pkcs11-pool'
import type { KeyMaterial } from '../crypto/token.js'

/** What callers have heard so far. */
export interface Tally {
  right: number
  wrong: string[]
  /** failures by code */
  failed: Record<string, number>
  /** what no error of the library's may be */
  unexpected: string[]
}

type Operation = (client: Client, material: KeyMaterial) => Promise<boolean>

/** SoftHSM 2.6.1 keeps some 190 bytes of each session object that was made and destroyed: made each time, they would hide what we keep. */
const KEYS_EVERY = 50

const AES = { label: 'aes' }
const ECDSA = { label: 'ecdsa' }
const RSA = { label: 'rsa' }

/** Each makes one call or a few, and says whether the answer is what node:crypto computes from the same key. */
const OPERATIONS: readonly Operation[] = [
  async (client, { aes }) => {
    const [iv, plain] = [randomBytes(16), randomBytes(40)]
    const cipher = await client.encrypt(AES, { mechanism: 'CKM_AES_CBC_PAD', iv }, plain)
    return cipher.equals(encrypted(aes, iv, plain))
  },
  async (client, { aes }) => {
    const [iv, plain] = [randomBytes(16), randomBytes(40)]
    const back = await client.decrypt(AES, { mechanism: 'CKM_AES_CBC_PAD', iv }, encrypted(aes, iv, plain))
    return back.equals(plain)
  },
  async (client, { ecdsa }) => {
    const data = randomBytes(64)
    const signature = await client.sign(ECDSA, 'CKM_ECDSA', createHash('sha256').update(data).digest())
    return verify('sha256', data, { key: createPublicKey(ecdsa), dsaEncoding: 'ieee-p1363' }, signature)
  },
  async (client, { rsa }) => {
    const data = randomBytes(64)
    return client.verify(RSA, 'CKM_SHA256_RSA_PKCS', data, sign('sha256', data, rsa))
  },
  async (client) => {
    const [one, other] = await Promise.all([client.generateRandom(32), client.generateRandom(32)])
    return one.length === 32 && !one.equals(other)
  },
  async (client) => {
    const found = await client.keys.find(AES)
    return found.length === 1 && found[0]?.label === 'aes'
  },
  async (client, { aes }) => {
    const iv = randomBytes(16)
    const plains = Array.from({ length: 5 }, () => randomBytes(16))
    const mechanism = { mechanism: 'CKM_AES_CBC_PAD', iv } as const
    const results = await client.batch(plains.map((data) => ({ op: 'encrypt', key: AES, mechanism, data })))
    return results.every((result, at) => {
      if (result.status === 'rejected') throw result.reason
      return (result.value as Buffer).equals(encrypted(aes, iv, plains[at] ?? Buffer.alloc(0)))
    })
  },
  async (client, { aes }) =>
    client.withSession(async (session) => {
      const iv = randomBytes(16)
      const key = await session.findKey(AES)
      if (randomInt(KEYS_EVERY) === 0) {
        const made = await session.generateKey('CKM_AES_KEY_GEN', { CKA_VALUE_LEN: 32, CKA_TOKEN: false })
        await session.destroyObject(made)
      }
      const cipher = await session.encrypt(key, { mechanism: 'CKM_AES_CBC_PAD', iv }, iv)
      return cipher.equals(encrypted(aes, iv, iv))
    }),
]

/** One caller: an operation after the other until it is told to stop. */
export async function call(
  client: Client,
  material: KeyMaterial,
  tally: Tally,
  random: () => number,
  stopped: () => boolean,
): Promise<void> {
  while (!stopped()) {
    const at = Math.floor(random() * OPERATIONS.length)
    try {
      const isRight = await OPERATIONS[at]?.(client, material)
      if (isRight === true) tally.right += 1
      else tally.wrong.push(`operation ${at} at ${new Date().toISOString()}`)
    } catch (error) {
      if (error instanceof Pkcs11PoolError) {
        tally.failed[error.code] = (tally.failed[error.code] ?? 0) + 1
        // A search that missed a key that is there, or found two, is a wrong answer however it is told.
        if (error.code === 'KEY_NOT_FOUND' || error.code === 'KEY_AMBIGUOUS') tally.wrong.push(error.message)
      } else tally.unexpected.push(String(error))
      // Refused at once, it would ask again at once.
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
}

function encrypted(key: KeyObject, iv: Buffer, plain: Buffer): Buffer {
  const cipher = createCipheriv('aes-256-cbc', key, iv)
  return Buffer.concat([cipher.update(plain), cipher.final()])
}
