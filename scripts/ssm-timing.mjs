// Measures whether time tells what the service's answers do not: whether an account is there, and what is wrong with encrypted data.
//
//   node scripts/ssm-timing.mjs [--logins 150] [--decrypts 4000] [--json]
//
// For each question, two kinds of request take turns in a random order, and Welch's t says whether their times differ: beyond 4.5 (the
// bound of ISO/IEC 17825) they do, and the exit status is 1. The slowest tenth of each kind is left out: that is the machine. What the
// tests count instead, because time cannot be asserted without chance, is in packages/ssm/test/integration/same-work.test.ts.
import { createCipheriv, randomBytes, randomInt } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createClient } from '../packages/pkcs11-pool/dist/index.js'
import { Accounts } from '../packages/ssm/dist/accounts/accounts.js'
import { AttemptLimits } from '../packages/ssm/dist/auth/attempt-limits.js'
import { Login } from '../packages/ssm/dist/auth/login.js'
import { buildApp } from '../packages/ssm/dist/index.js'
import { openStore } from '../packages/ssm/dist/store/store.js'
import { createSoftHsmToken } from '../packages/testkit/dist/index.js'

const BOUND = 4.5
const { values } = parseArgs({
  options: {
    logins: { type: 'string', default: '150' },
    decrypts: { type: 'string', default: '4000' },
    json: { type: 'boolean', default: false },
  },
})

const token = createSoftHsmToken()
Object.assign(process.env, token.env)
const folder = mkdtempSync(join(tmpdir(), 'ssm-timing-'))
const results = []
try {
  await measureLogins(Number(values.logins))
  await measureDecrypts(Number(values.decrypts))
} finally {
  rmSync(folder, { recursive: true })
  token.remove()
}
show()
process.exit(results.some(({ t }) => Math.abs(t) > BOUND) ? 1 : 0)

async function measureLogins(times) {
  const store = await openStore(join(folder, 'ssm.sqlite'))
  const accounts = new Accounts(store)
  await accounts.add('there', 'udm')
  const password = await accounts.add('disabled', 'udm')
  await accounts.disable('disabled')
  // an hour goes by before each attempt, so that none is refused for those before
  let hour = 0
  const login = new Login(accounts, new AttemptLimits(() => hour++ * 3_600_000))
  const fail = (serviceId, given) => () =>
    login.check(serviceId, given, '10.0.0.1').then(
      () => Promise.reject(new Error('a login that must fail succeeded')),
      () => {},
    )
  const known = fail('there', 'wrong')
  await compare('an account that is there, or not', times, known, fail('nobody', 'wrong'))
  await compare('an account in use, or disabled with its right password', times, known, fail('disabled', password))
  await store.destroy()
}

async function measureDecrypts(times) {
  const client = await createClient({
    module: token.module,
    token: { label: token.label },
    pin: { file: token.pinFile },
  })
  const key = randomBytes(32)
  await client.keys.import({
    CKA_CLASS: 'CKO_SECRET_KEY',
    CKA_KEY_TYPE: 'CKK_AES',
    CKA_TOKEN: true,
    CKA_PRIVATE: true,
    CKA_DECRYPT: true,
    CKA_ENCRYPT: true,
    CKA_LABEL: 'KEY_ENCRYPTION_AES256',
    CKA_ID: 1,
    CKA_VALUE: key,
  })
  const app = buildApp({ client, authentication: 'none' })
  const iv = randomBytes(16)
  const fail = (lastBlock) => {
    const cipher = createCipheriv('aes-256-cbc', key, iv).setAutoPadding(false)
    const data = cipher.update('aa'.repeat(16) + lastBlock, 'hex', 'hex') + cipher.final('hex')
    const payload = {
      key_label: 'KEY_ENCRYPTION_AES256',
      id: 1,
      cipher: data,
      iv: iv.toString('hex'),
      encryption_algorithm: 5,
    }
    return async () => {
      const { statusCode } = await app.inject({ method: 'POST', url: '/crypto/decrypt', payload })
      if (statusCode !== 500) throw new Error(`a decryption that must fail was answered with ${statusCode}`)
    }
  }
  const none = fail('00'.repeat(16))
  await compare('padding of no length, or of too great a one', times, none, fail('11'.repeat(16)))
  await compare('padding wrong in its last byte, or in its first', times, none, fail(`00${'10'.repeat(15)}`))
  await app.close()
  await client.close()
}

/** Does both so many times, in a random order. */
async function compare(question, times, one, other) {
  for (let warmed = 0; warmed < Math.min(100, times / 10); warmed++) {
    await one()
    await other()
  }
  const took = [[], []]
  for (let made = 0; made < times; made++) {
    const first = randomInt(2)
    for (const which of [first, 1 - first]) {
      const begun = process.hrtime.bigint()
      await (which === 0 ? one : other)()
      took[which].push(Number(process.hrtime.bigint() - begun) / 1000)
    }
  }
  const [a, b] = took.map(statistics)
  const t = (a.mean - b.mean) / Math.sqrt(a.variance / a.count + b.variance / b.count)
  results.push({ question, times, medianUs: [a.median, b.median], t })
}

function statistics(samples) {
  const kept = samples.toSorted((a, b) => a - b).slice(0, Math.ceil(samples.length * 0.9))
  const mean = kept.reduce((sum, each) => sum + each, 0) / kept.length
  const variance = kept.reduce((sum, each) => sum + (each - mean) ** 2, 0) / (kept.length - 1)
  return { count: kept.length, mean, variance, median: kept[kept.length >> 1] }
}

function show() {
  if (values.json) {
    process.stdout.write(`${JSON.stringify(results)}\n`)
    return
  }
  process.stdout.write(
    '| what might be told apart | each | median of the one | of the other | t |\n|---|---|---|---|---|\n',
  )
  for (const { question, times, medianUs, t } of results) {
    const [one, other] = medianUs.map((each) => `${Math.round(each)} µs`)
    process.stdout.write(`| ${question} | ${times} | ${one} | ${other} | ${t.toFixed(2)} |\n`)
  }
}
