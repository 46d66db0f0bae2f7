import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  type Decipher,
  type KeyObject,
  randomBytes,
} from 'node:crypto'

/** A way of encrypting, as the service numbers it and as node:crypto names it. */
export interface Way {
  /** the service's `encryption_algorithm` to decrypt with */
  algorithm: number
  cipher: string
  /** of the initialisation vector; 0 for ECB, which pads nothing */
  ivBytes: number
}

/** A SIM maker's transport key, whose value the core knows. */
export interface TransportKey extends Way {
  label: 'K4_AES' | 'K4_DES3'
  id: number
  type: 'AES' | 'DES3'
  bytes: number
}

/** Data under a key, in hex as the service has it. */
export interface Sealed {
  cipher: string
  iv: string
  /** of AES-GCM */
  tag?: string
}

export interface Subscriber {
  /** what all its data decrypts to, in hex */
  ki: string
  /** index of its transport key */
  transportKey: number
  /** what the SIM's maker sent; under each value that its transport key has had */
  transported: Sealed[]
  /** what the core keeps, under its own key */
  stored: Sealed & { id: number }
}

/** One key of each length and mode that old SIM files have; single DES is left out, OpenSSL 3 does not compute it. */
export const TRANSPORT_KEYS: readonly TransportKey[] = [
  { label: 'K4_AES', id: 1, type: 'AES', algorithm: 1, cipher: 'aes-256-cbc', bytes: 32, ivBytes: 16 },
  { label: 'K4_AES', id: 2, type: 'AES', algorithm: 2, cipher: 'aes-128-cbc', bytes: 16, ivBytes: 16 },
  { label: 'K4_AES', id: 3, type: 'AES', algorithm: 1, cipher: 'aes-256-ecb', bytes: 32, ivBytes: 0 },
  { label: 'K4_DES3', id: 1, type: 'DES3', algorithm: 4, cipher: 'des-ede3-cbc', bytes: 24, ivBytes: 8 },
]

export const OWN_LABEL = 'KEY_ENCRYPTION_AES256'
export const OWN_WAY: Way = { algorithm: 5, cipher: 'aes-256-cbc', ivBytes: 16 }
const GCM = 'aes-256-gcm'
const GCM_TAG_BYTES = 16

const KI_BYTES = 16

/** Random values for the transport keys. */
export function transportValues(): KeyObject[] {
  return TRANSPORT_KEYS.map(({ bytes }) => createSecretKey(randomBytes(bytes)))
}

export function seal({ cipher: name, ivBytes }: Way, key: KeyObject, plain: string): Sealed {
  const iv = randomBytes(ivBytes)
  const cipher = createCipheriv(name, key, ivBytes === 0 ? null : iv).setAutoPadding(ivBytes > 0)
  return { cipher: cipher.update(plain, 'hex', 'hex') + cipher.final('hex'), iv: iv.toString('hex') }
}

/** What data decrypts to, in hex; undefined where it does not. */
export function open({ cipher: name, ivBytes }: Way, key: KeyObject, { cipher, iv }: Sealed): string | undefined {
  const decipher = createDecipheriv(name, key, ivBytes === 0 ? null : Buffer.from(iv, 'hex'))
  decipher.setAutoPadding(ivBytes > 0)
  return finish(decipher, cipher)
}

/** The same by AES-GCM. */
export function openGcm(key: KeyObject, { cipher, iv, tag = '' }: Sealed): string | undefined {
  const decipher = createDecipheriv(GCM, key, Buffer.from(iv, 'hex'), { authTagLength: GCM_TAG_BYTES })
  decipher.setAuthTag(Buffer.from(tag, 'hex'))
  return finish(decipher, cipher)
}

function finish(decipher: Decipher, cipher: string): string | undefined {
  try {
    return decipher.update(cipher, 'hex', 'hex') + decipher.final('hex')
  } catch {
    return undefined
  }
}

/** @param ownKey what {@link OWN_LABEL} with id 1 is at the beginning */
export function createSubscribers(count: number, values: readonly KeyObject[], ownKey: KeyObject): Subscriber[] {
  return Array.from({ length: count }, (_, number) => {
    const ki = randomBytes(KI_BYTES).toString('hex')
    const transportKey = number % TRANSPORT_KEYS.length
    const way = TRANSPORT_KEYS[transportKey]
    const value = values[transportKey]
    if (way === undefined || value === undefined) throw new Error(`no value for transport key ${transportKey}`)
    return {
      ki,
      transportKey,
      transported: [seal(way, value, ki)],
      stored: { id: 1, ...seal(OWN_WAY, ownKey, ki) },
    }
  })
}
