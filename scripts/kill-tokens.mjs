// Kills a token's process again and again while a client uses it, and says what came of it.
//
//   node scripts/kill-tokens.mjs [--kills 50] [--stop-ms 30000] [--token p11-kit|opencryptoki|tpm] [--recovery-ms 20000] [--backoff-ms 500] [--json]
//
// A client of 8 sessions has 16 callers at a time; each call is bounded by a timeoutMs, and each signature is verified. For each kill it
// says how long it took, from when the process was there again, until a call that began then was answered. A client that has not come
// back within that time is counted as lost, closed, and replaced by a new one; where calls hang inside the module for ever, as stuck, and
// the process is replaced. After the kills the token's process is stopped with SIGSTOP for a while, unless that is 0 ms, and goes on. Exit
// status 1 after a wrong signature, a promise that was not settled long after its time, a close that did not end, or a client that was lost.
import { spawnSync } from 'node:child_process'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
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

const SELF = fileURLToPath(import.meta.url)
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
    'stop-ms': { type: 'string', default: '30000' },
    'recovery-ms': { type: 'string', default: '20000' },
    'backoff-ms': { type: 'string', default: '500' },
    json: { type: 'boolean' },
    // what this program says to itself: one process, until it has come to its end or cannot go on
    part: { type: 'boolean' },
  },
})
const RECOVERY_MS = Number(values['recovery-ms'])
const STOP_MS = Number(values['stop-ms'])
const BACKOFF_MS = Number(values['backoff-ms'])
if (values.part) {
  console.log(JSON.stringify(await killToken(values.token, Number(values.kills))))
  // Some modules leave threads behind that do not end by themselves.
  process.exit(0)
}
const names = values.token === undefined ? Object.keys(TOKENS) : [values.token]
const reports = names.map((name) => inParts(name, Number(values.kills)))
console.log(values.json ? JSON.stringify(reports) : reports.map(describe).join('\n\n'))
process.exit(reports.some(({ wrong, hung, unclosed, lost }) => wrong + hung + unclosed + lost > 0) ? 1 : 0)

/** In a process of its own, and in another one after calls that never return have made it useless. */
function inParts(name, kills) {
  const parts = []
  for (let left = kills; parts.length === 0 || left > 0; left -= parts.at(-1).kills) {
    const waits = ['stop-ms', 'recovery-ms', 'backoff-ms'].flatMap((each) => [`--${each}`, values[each]])
    const args = [SELF, '--part', '--token', name, '--kills', String(left), ...waits]
    const { status, stdout } = spawnSync(process.execPath, args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    if (status !== 0) process.exit(status ?? 1)
    parts.push(JSON.parse(stdout))
  }
  return parts.reduce(joined)
}

function joined(one, other) {
  const sum = { ...one, stopped: one.stopped ?? other.stopped, latestMs: Math.max(one.latestMs, other.latestMs) }
  for (const name of ['kills', 'lost', 'stuck', 'unclosed', 'signed', 'wrong', 'hung']) sum[name] += other[name]
  sum.recoveries = [...one.recoveries, ...other.recoveries]
  sum.failed = { ...one.failed }
  for (const [name, count] of Object.entries(other.failed)) sum.failed[name] = (sum.failed[name] ?? 0) + count
  return sum
}

async function killToken(name, kills) {
  const token = await create(name)
  Object.assign(process.env, token.env)
  const report = { token: token.name, kills: 0, recoveries: [], lost: 0, stuck: 0, unclosed: 0, stopped: undefined }
  let client = await connect(token)
  const load = new SigningLoad(await publicKeyOf(client), TIMEOUT_MS)
  load.start(client)
  try {
    for (; report.kills < kills && report.stuck === 0; report.kills += 1) {
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
      if (client.stats().engine.hung > 0) {
        // The module cannot be finalised any more, not for a new client either.
        report.stuck += 1
        continue
      }
      report.lost += 1
      await load.stop()
      report.unclosed += await close(client)
      client = await connect(token)
      load.start(client)
    }
    if (STOP_MS > 0 && report.stuck === 0) {
      report.stopped = await stopToken(token, client, load)
      if (report.stopped.backMs === undefined) report.lost += 1
    }
    await load.stop()
    report.unclosed += await close(client)
  } finally {
    await token.remove()
  }
  const { signed, wrong, hung, failed, latestMs } = load
  return { ...report, signed, wrong, hung, failed, latestMs: Math.round(latestMs) }
}

/** SIGSTOP for a while, and SIGCONT: what became of the calls meanwhile, and how long after it one was answered that began then. */
async function stopToken({ server }, client, load) {
  await load.untilSigned(WARM_UP, WARM_UP_MS)
  const before = { signed: load.signed, opened: client.stats().breakerOpened }
  const loop = monitorEventLoopDelay({ resolution: 1 })
  loop.enable()
  server.stop()
  await delay(STOP_MS)
  loop.disable()
  const { hung } = client.stats().engine
  const signed = load.signed - before.signed
  server.cont()
  const backMs = await load.untilSigned(1, RECOVERY_MS)
  return {
    ms: STOP_MS,
    signed,
    opened: client.stats().breakerOpened - before.opened,
    threads: hung,
    loopMs: [loop.percentile(99), loop.max].map((ns) => Math.round(ns / 1e6)),
    backMs: backMs === undefined ? undefined : Math.round(backMs),
  }
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
  return createClient({
    module,
    token: { label },
    pin: { value: pin },
    pool,
    breaker: { initialBackoffMs: BACKOFF_MS },
  })
}

/** Closes a client and says whether that did not end: 0 or 1. */
async function close(client) {
  const timer = new AbortController()
  const late = delay(2 * CLOSE_MS + 10_000, 1, { signal: timer.signal }).catch(() => 0)
  const result = await Promise.race([client.close({ timeoutMs: CLOSE_MS }).then(() => 0), late])
  timer.abort()
  return result
}

function describe({ token, kills, recoveries, stopped, lost, stuck, unclosed, signed, wrong, hung, failed, latestMs }) {
  const sorted = recoveries.toSorted((one, other) => one - other)
  const median = sorted[Math.floor(sorted.length / 2)]
  return [
    `${token}: killed ${kills} times`,
    `  ${signed} signatures, ${wrong} wrong; ${hung} calls that hang, ${unclosed} closes that do not end`,
    `  promises settled ${latestMs > 0 ? `at most ${latestMs} ms after` : `at least ${-latestMs} ms before`} their time of ${TIMEOUT_MS} ms`,
    `  came back by itself ${recoveries.length} times, in ms: median ${median}, longest ${sorted.at(-1)}; all: ${recoveries.join(' ')}`,
    `  did not come back within ${RECOVERY_MS} ms, so that a new client was made: ${lost} times`,
    `  calls inside the module never returned, so that a new process was made: ${stuck} times`,
    ...(stopped === undefined ? [] : [describeStop(stopped)]),
    `  calls that failed: ${JSON.stringify(failed)}`,
  ].join('\n')
}

function describeStop({ ms, signed, opened, threads, loopMs, backMs }) {
  return (
    `  stopped for ${ms} ms: ${signed} signatures meanwhile, the breaker opened ${opened} times, ${threads} threads hung at its end, turns of the ` +
    `event loop took ${loopMs[0]} ms (p99), ${loopMs[1]} ms at most; ` +
    (backMs === undefined ? 'did not come back' : `back ${backMs} ms after it went on`)
  )
}
