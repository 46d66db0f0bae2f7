// Callers that have messages signed, one after the other, until they are stopped. Each answer is verified by node:crypto.
import { createHash, createPublicKey, verify } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { CryptokiError } from '../packages/pkcs11-pool/dist/index.js'

const CALLERS = 16
/** How much later than its time is over a promise may settle before it counts as one that hangs: far beyond what a busy machine explains. */
const HANG_MS = 10_000
/** A DigestInfo for SHA-256 (RFC 8017, section 9.2) up to the digest: every token can sign it. */
const DIGEST_INFO = Buffer.from('3031300d060960864801650304020105000420', 'hex')
const key = { label: 'k', class: 'CKO_PRIVATE_KEY' }

/** The public half of the key pair `k`, for node:crypto. */
export async function publicKeyOf(client) {
  const { handle } = await client.keys.get({ label: 'k', class: 'CKO_PUBLIC_KEY' })
  const { CKA_MODULUS: n, CKA_PUBLIC_EXPONENT: e } = await client.withSession((session) =>
    session.getAttributes(handle, ['CKA_MODULUS', 'CKA_PUBLIC_EXPONENT']),
  )
  const jwk = { kty: 'RSA', n: n.toString('base64url'), e: e.toString('base64url') }
  return createPublicKey({ key: jwk, format: 'jwk' })
}

export class SigningLoad {
  signed = 0
  wrong = 0
  hung = 0
  /** calls that failed, by what they rejected with */
  failed = {}
  /** by how many milliseconds a promise has settled after its time, at most */
  latestMs = Number.NEGATIVE_INFINITY
  #client
  #publicKey
  #timeoutMs
  #stopped = false
  #waiting = []
  #callers

  constructor(publicKey, timeoutMs) {
    this.#publicKey = publicKey
    this.#timeoutMs = timeoutMs
  }

  start(client) {
    this.#client = client
    this.#stopped = false
    this.#callers = Promise.all(Array.from({ length: CALLERS }, (_, caller) => this.#call(caller)))
  }

  async stop() {
    this.#stopped = true
    await this.#callers
  }

  /** How many milliseconds it takes until so many calls that begin from now on have been answered; undefined when it takes too long. */
  async untilSigned(count, withinMs) {
    const from = performance.now()
    const timer = new AbortController()
    const enough = new Promise((resolve) => {
      this.#waiting.push({ from, left: count, resolve })
    })
    const tooLong = delay(withinMs, undefined, { signal: timer.signal }).catch(() => undefined)
    const took = await Promise.race([enough.then(() => performance.now() - from), tooLong])
    timer.abort()
    return took
  }

  async #call(caller) {
    for (let number = 0; !this.#stopped; number += 1) {
      const message = Buffer.from(`message ${number} of caller ${caller}`)
      const digest = createHash('sha256').update(message).digest()
      const begun = performance.now()
      const outcome = await this.#settled(
        this.#client.sign(key, 'CKM_RSA_PKCS', Buffer.concat([DIGEST_INFO, digest]), { timeoutMs: this.#timeoutMs }),
      )
      this.latestMs = Math.max(this.latestMs, performance.now() - begun - this.#timeoutMs)
      if (outcome instanceof Error) {
        this.#count(outcome)
        // who fails fast is not to spin
        await delay(5)
      } else if (verify('sha256', message, this.#publicKey, outcome)) this.#answered(begun)
      else this.wrong += 1
    }
  }

  async #settled(promise) {
    const timer = new AbortController()
    const hang = delay(this.#timeoutMs + HANG_MS, 'hangs', { signal: timer.signal }).catch(() => undefined)
    const outcome = await Promise.race([promise.catch((error) => error), hang])
    timer.abort()
    if (outcome !== 'hangs') return outcome
    this.hung += 1
    return new Error('hangs')
  }

  #answered(begun) {
    this.signed += 1
    for (const each of this.#waiting) {
      if (begun < each.from) continue
      each.left -= 1
      if (each.left === 0) each.resolve()
    }
    this.#waiting = this.#waiting.filter(({ left }) => left > 0)
  }

  #count(error) {
    const name = error instanceof CryptokiError ? `${error.rvName} of ${error.fn}` : (error.code ?? String(error))
    this.failed[name] = (this.failed[name] ?? 0) + 1
  }
}
