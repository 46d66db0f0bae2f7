// A program that shares a token with others: keeps a client busy until it is told to stop, and says what was wrong. Run by
// shared-token.ts on the built library, which tells it all in one message.
import { createCipheriv, createHash, createPublicKey, randomBytes, randomInt, verify } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createClient, Pkcs11PoolError } from '../../dist/index.js'

const CALLERS = 6
/** What PKCS #1 puts before a digest by SHA-256: openCryptoki's token does not. */
const SHA256_INFO = Buffer.from('3031300d060960864801650304020105000420', 'hex')
/** Well above what bounds a call: a promise that is pending then is one that nobody settles. */
const HUNG_MS = 25_000

const [{ options, steady, contested }] = await once(process, 'message')
const client = await createClient(options)
const publicKey = createPublicKey({ key: steady.publicKey, format: 'jwk' })
const rsaId = Buffer.from(steady.rsaId, 'hex')
const report = { right: {}, wrong: [], failed: {}, unexpected: [] }
let stopped = false
let made = 0

const cbc = (iv) => ({ mechanism: 'CKM_AES_CBC_PAD', iv })

function encrypted(value, iv, plain) {
  const cipher = createCipheriv('aes-256-cbc', Buffer.from(value, 'hex'), iv)
  return Buffer.concat([cipher.update(plain), cipher.final()])
}

/** Which of its keys the contested label may answer with: see shared-token.ts. */
const stateOfContested = () => JSON.parse(readFileSync(contested.state, 'utf8'))

const isMissing = (error) => error instanceof Pkcs11PoolError && error.code === 'KEY_NOT_FOUND'

/** Each makes a call or a few; false for an answer that is wrong. */
const operations = {
  async encrypt() {
    const [iv, plain] = [randomBytes(16), randomBytes(40)]
    return encrypted(steady.aes, iv, plain).equals(await client.encrypt({ label: steady.label }, cbc(iv), plain))
  },
  async decrypt() {
    const [iv, plain] = [randomBytes(16), randomBytes(40)]
    const cipher = encrypted(steady.aes, iv, plain)
    return plain.equals(await client.decrypt({ label: steady.label }, cbc(iv), cipher))
  },
  async batch() {
    const [iv, plain] = [randomBytes(16), randomBytes(40)]
    const item = { op: 'encrypt', key: { label: steady.label }, mechanism: cbc(iv), data: plain }
    const results = await client.batch([item, item])
    const failed = results.find(({ status }) => status === 'rejected')
    if (failed !== undefined) throw failed.reason
    return results.every(({ value }) => encrypted(steady.aes, iv, plain).equals(value))
  },
  async sign() {
    const data = randomBytes(64)
    const digestInfo = Buffer.concat([SHA256_INFO, createHash('sha256').update(data).digest()])
    const signature = await client.sign({ id: rsaId }, 'CKM_RSA_PKCS', digestInfo)
    return verify('sha256', data, publicKey, signature)
  },
  /** A key of this process alone, from its making to its end. */
  async own() {
    made += 1
    const label = `own-${process.pid}-${made}`
    const [iv, plain] = [randomBytes(16), randomBytes(40)]
    const template = {
      CKA_LABEL: label,
      CKA_TOKEN: true,
      CKA_PRIVATE: true,
      CKA_SENSITIVE: false,
      CKA_EXTRACTABLE: true,
      CKA_ENCRYPT: true,
      CKA_DECRYPT: true,
      CKA_VALUE_LEN: 32,
    }
    const key = await client.keys.generate('CKM_AES_KEY_GEN', template)
    const { CKA_VALUE } = await client.withSession((session) => session.getAttributes(key, ['CKA_VALUE']))
    const cipher = await client.encrypt({ label }, cbc(iv), plain)
    await client.keys.destroy({ label })
    const after = await client.encrypt({ label }, cbc(iv), plain).then(
      () => false,
      (error) => {
        if (isMissing(error)) return true
        throw error
      },
    )
    return after && encrypted(CKA_VALUE, iv, plain).equals(cipher)
  },
  /** The label that another program gives one key after the other. */
  async contested() {
    const [iv, plain] = [randomBytes(16), randomBytes(40)]
    const before = stateOfContested()
    try {
      const cipher = await client.encrypt({ label: contested.label }, cbc(iv), plain)
      const { newest } = stateOfContested()
      return contested.values
        .slice(before.oldest, newest + 1)
        .some((value) => encrypted(value, iv, plain).equals(cipher))
    } catch (error) {
      if (!isMissing(error)) throw error
      const after = stateOfContested()
      return !before.isThere || after.step !== before.step
    }
  },
}
const NAMES = Object.keys(operations)
/** Of a key that is there, and is one, a wrong answer. */
const CONFUSED = ['KEY_AMBIGUOUS', 'KEY_NOT_FOUND']
/** Of a key that has just come, SoftHSM and openCryptoki see two now and then, and SoftHSM rarely none: see docs/tokens.md. */
const UNCLEAR = { own: ['KEY_AMBIGUOUS', 'KEY_NOT_FOUND'], contested: ['KEY_AMBIGUOUS'] }

async function call() {
  for (;;) {
    if (stopped) return
    const name = NAMES[randomInt(NAMES.length)]
    const hung = setTimeout(() => report.wrong.push(`${name} was not settled`), HUNG_MS)
    try {
      if (await operations[name]()) report.right[name] = (report.right[name] ?? 0) + 1
      else report.wrong.push(`${name} was answered wrongly`)
    } catch (error) {
      if (!(error instanceof Pkcs11PoolError)) report.unexpected.push(String(error?.stack))
      else if (CONFUSED.includes(error.code) && !UNCLEAR[name]?.includes(error.code)) {
        report.wrong.push(`${name}: ${error.message}`)
      } else {
        const kind = [name, error.code, error.fn, error.rvName].join(' ')
        report.failed[kind] = (report.failed[kind] ?? 0) + 1
      }
    } finally {
      clearTimeout(hung)
    }
  }
}

const callers = Array.from({ length: CALLERS }, call)
await operations.encrypt()
process.send('busy')
await once(process, 'message')
stopped = true
await Promise.all(callers)
const closed = await client.close()
process.send({ ...report, ...closed })
process.disconnect()
