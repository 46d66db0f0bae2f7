import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'

/** 2^15 blocks of 1 KiB, three times: OWASP's measure for scrypt, 32 MiB and some hundred milliseconds. */
const COST = { log2N: 15, r: 8, p: 3 }
const SALT_BYTES = 16
const HASH_BYTES = 32
const PASSWORD_BYTES = 24

interface Parsed {
  log2N: number
  r: number
  p: number
  salt: Buffer
  hash: Buffer
}

/** What a password is compared with where there is no account: no password has this hash, and comparing takes as long. */
export const DECOY_HASH = format({ ...COST, salt: randomBytes(SALT_BYTES), hash: randomBytes(HASH_BYTES) })

/** A password that nobody guesses: 192 random bits, safe in a shell, a URL and YAML. */
export function makePassword(): string {
  for (;;) {
    const password = randomBytes(PASSWORD_BYTES).toString('base64url')
    // one that begins with a dash would be taken for a flag
    if (!password.startsWith('-')) return password
  }
}

/** A hash that is slow to make, with its salt and cost. The work is done by libuv's threads. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES)
  return format({ ...COST, salt, hash: await derive(password, { ...COST, salt }) })
}

/** Compares in constant time; as slow as making the hash. */
export async function passwordMatches(password: string, stored: string): Promise<boolean> {
  const parsed = parse(stored)
  return timingSafeEqual(await derive(password, parsed), parsed.hash)
}

function derive(password: string, { log2N, r, p, salt }: Omit<Parsed, 'hash'>): Promise<Buffer> {
  const N = 2 ** log2N
  return new Promise((resolve, reject) => {
    // the limit only has to be above what is needed
    scrypt(password, salt, HASH_BYTES, { N, r, p, maxmem: 256 * (N + p + 2) * r }, (error, key) => {
      if (error === null) resolve(key)
      else reject(error)
    })
  })
}

function format({ log2N, r, p, salt, hash }: Parsed): string {
  return `$scrypt$ln=${log2N},r=${r},p=${p}$${salt.toString('base64')}$${hash.toString('base64')}`
}

function parse(stored: string): Parsed {
  const match = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([^$]{22,})\$([^$]{43,})$/.exec(stored)
  const [, log2N, r, p, salt = '', hash = ''] = match ?? []
  const bytes = Buffer.from(hash, 'base64')
  if (match === null || bytes.length !== HASH_BYTES) throw new Error('the store holds what is no hash of a password')
  return { log2N: Number(log2N), r: Number(r), p: Number(p), salt: Buffer.from(salt, 'base64'), hash: bytes }
}
