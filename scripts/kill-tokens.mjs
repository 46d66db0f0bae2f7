// Kills a token's process again and again while a client uses it, and says what came of it.
//
//   node scripts/kill-tokens.mjs [--kills 50] [--token p11-kit|opencryptoki|tpm] [--recovery-ms 20000] [--json]
//
// A client of 8 sessions has 16 callers at a time; each call is bounded by a timeoutMs, and each signature is verified. For each kill it
// says how long it took, from when the process was there again, until a call that began then was answered. A client that has not come
// back within that time is counted as lost, closed, and replaced by a new one. Exit status 1 after a wrong signature, a promise
// that was not settled long after its time, or a close that did not end.
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createClient } from '../packages/pkcs11-pool/dist/index.js'
import {
  createOpenCryptokiToken,
  createP11KitToken,
  createSoftHsmToken,
  createTpmToken,
  TokenUnavailable,
} from '../packages/testkit/dist/index.js'
import { publicKeyOf, SigningLoad } from './signing-load.mjs'

const keys = [{ label: 'k', type: 'rsa-2048' }]
const TOKENS = {
  'p11-kit': () => createP11KitToken(createSoftHsmToken({ keys })),
  opencryptoki: () => createOpenCryptokiToken({ keys }),
  tpm: () => createTpmToken({ keys, maxTries: 10_000 }),
}
const TIMEOUT_MS = 2_000
/** signatures before each kill, so that it meets a pool at work */
const WARM_UP = 100
const WARM_UP_MS = 20_000
const AWAY_MS = 250
const CLOSE_MS = 5_000

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '50' },
    token: { type: 'string' },
    'recovery-ms': { type: 'string', default: '20000' },
    json: { type: 'boolean' },
  },
})
const RECOVERY_MS = Number(values['recovery-ms'])
const names = values.token === undefined ? Object.keys(TOKENS) : [values.token]
const reports = []
for (const name of names) reports.push(await killToken(name, Number(values.kills)))
console.log(values.json ? JSON.stringify(reports) : reports.map(describe).join('\n\n'))
const bad = reports.filter(({ wrong, hung, unclosed }) => wrong + hung + unclosed > 0)
// Some modules leave threads behind that do not end by themselves.
process.exit(bad.length > 0 ? 1 : 0)

async function killToken(name, kills) {
  const token = await create(name)
  Object.assign(process.env, token.env)
  const report = { token: token.name, kills, recoveries: [], lost: 0, unclosed: 0 }
  let client = await connect(token)
  const load = new SigningLoad(await publicKeyOf(client), TIMEOUT_MS)
  load.start(client)
  try {
    for (let kill = 0; kill < kills; kill += 1) {
      // Whoever was just brought back may fail once more; then it is lost like one that never came back.
      if ((await load.untilSigned(WARM_UP, WARM_UP_MS)) !== undefined) {
        await token.server.kill()
        await delay(AWAY_MS)
        await token.server.start()
        const took = await load.untilSigned(1, RECOVERY_MS)
        if (took !== undefined) {
          report.recoveries.push(Math.round(took))
          continue
        }
      }
      report.lost += 1
      await load.stop()
      report.unclosed += await close(client)
      client = await connect(token)
      load.start(client)
    }
    await load.stop()
    report.unclosed += await close(client)
  } finally {
    await token.remove()
  }
  const { signed, wrong, hung, failed, latestMs } = load
  return { ...report, signed, wrong, hung, failed, latestMs: Math.round(latestMs) }
}

async function create(name) {
  try {
    return await TOKENS[name]()
  } catch (error) {
    if (!(error instanceof TokenUnavailable)) throw error
    console.error(error.message)
    process.exit(3)
  }
}

function connect({ module, label, pin }) {
  const pool = { maxSize: 8, operationTimeoutMs: TIMEOUT_MS }
  return createClient({ module, token: { label }, pin: { value: pin }, pool })
}

/** Closes a client and says whether that did not end: 0 or 1. */
async function close(client) {
  const timer = new AbortController()
  const late = delay(2 * CLOSE_MS + 10_000, 1, { signal: timer.signal }).catch(() => 0)
  const result = await Promise.race([client.close({ timeoutMs: CLOSE_MS }).then(() => 0), late])
  timer.abort()
  return result
}

function describe({ token, kills, recoveries, lost, unclosed, signed, wrong, hung, failed, latestMs }) {
  const sorted = recoveries.toSorted((one, other) => one - other)
  const median = sorted[Math.floor(sorted.length / 2)]
  return [
    `${token}: killed ${kills} times`,
    `  ${signed} signatures, ${wrong} wrong; ${hung} calls that hang, ${unclosed} closes that do not end`,
    `  promises settled ${latestMs > 0 ? `at most ${latestMs} ms after` : `at least ${-latestMs} ms before`} their time of ${TIMEOUT_MS} ms`,
    `  came back by itself ${recoveries.length} times, in ms: median ${median}, longest ${sorted.at(-1)}; all: ${recoveries.join(' ')}`,
    `  did not come back within ${RECOVERY_MS} ms, so that a new client was made: ${lost} times`,
    `  calls that failed: ${JSON.stringify(failed)}`,
  ].join('\n')
}
