// Runs both ways on one token: what a request costs alone, how many there are in a second from 16 callers, and how often the token is called.
import { randomBytes } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { createChaos } from 'pkcs11-chaos'
import { createClient } from 'pkcs11-pool'
import { pooled } from './pooled.mjs'
import { sessionPerRequest } from './session-per-request.mjs'

const { values: options } = parseArgs({
  options: {
    module: { type: 'string', default: '/usr/lib/softhsm/libsofthsm2.so' },
    token: { type: 'string' },
    seconds: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false },
  },
})
const { token: label } = options
const { HSM_PIN: pin } = process.env
if (label === undefined || pin === undefined) throw new Error('expected --token LABEL, and its PIN in HSM_PIN')

const KEY = 'migration-guide'
const CALLERS = 16
const COUNTED = 50
const ways = { 'session per request': sessionPerRequest, pool: pooled }

await withKey(async () => {
  const rows = []
  for (const [name, open] of Object.entries(ways)) {
    const { perRequest, callsPerRequest } = await countCalls(open)
    const way = await open({ module: options.module, label, pin })
    const [alone, crowd] = [await load(way, 1), await load(way, CALLERS)]
    await way.close()
    rows.push({ name, p50Ms: alone.p50Ms, p95Ms: alone.p95Ms, perSecond: crowd.perSecond, callsPerRequest, perRequest })
  }
  report(rows)
})

/** A key to encrypt with, for as long as `use` runs. */
async function withKey(use) {
  const change = async (work) => {
    const client = await createClient({ module: options.module, token: { label }, pin: { env: 'HSM_PIN' } })
    await work(client.keys).finally(() => client.close())
  }
  await change((keys) =>
    keys.generate('CKM_AES_KEY_GEN', { CKA_LABEL: KEY, CKA_TOKEN: true, CKA_VALUE_LEN: 32, CKA_ENCRYPT: true }),
  )
  try {
    await use()
  } finally {
    await change((keys) => keys.destroy({ label: KEY }))
  }
}

/** Requests for a while, one after another by each caller. */
async function load({ encrypt }, callers) {
  const plain = randomBytes(64)
  const latencies = []
  await encrypt(KEY, randomBytes(16), plain)
  const until = performance.now() + Number(options.seconds) * 1000
  const call = async () => {
    for (let before = performance.now(); before < until; before = performance.now()) {
      await encrypt(KEY, randomBytes(16), plain)
      latencies.push(performance.now() - before)
    }
  }
  await Promise.all(Array.from({ length: callers }, call))
  latencies.sort((a, b) => a - b)
  const at = (share) => latencies[Math.floor(share * (latencies.length - 1))]
  return { p50Ms: at(0.5), p95Ms: at(0.95), perSecond: latencies.length / Number(options.seconds) }
}

/** Calls of the token's functions a request, without those of the start and the end, counted by a module before the real one. */
async function countCalls(open) {
  const chaos = createChaos({ module: options.module })
  try {
    const way = await open({ module: chaos.modulePath, label, pin })
    await way.encrypt(KEY, randomBytes(16), randomBytes(64))
    const before = (await chaos.counters()).functions
    for (let n = 0; n < COUNTED; n++) await way.encrypt(KEY, randomBytes(16), randomBytes(64))
    const after = (await chaos.counters()).functions
    await way.close()
    const perRequest = Object.entries(after)
      .map(([name, { calls }]) => [name, (calls - (before[name]?.calls ?? 0)) / COUNTED])
      .filter(([, calls]) => calls > 0)
    return { perRequest, callsPerRequest: perRequest.reduce((sum, [, calls]) => sum + calls, 0) }
  } finally {
    await chaos.close()
  }
}

function report(rows) {
  const [old, now] = rows
  const fewer = (key) => Math.round(100 * (1 - now[key] / old[key]))
  const times = (now.perSecond / old.perSecond).toFixed(1)
  if (options.json) {
    const ratios = { latencyReducedBy: fewer('p50Ms') / 100, throughputTimes: Number(times) }
    process.stdout.write(
      `${JSON.stringify({ ways: rows, ...ratios, callsReducedBy: fewer('callsPerRequest') / 100 })}\n`,
    )
    return
  }
  const line = (...cells) => process.stdout.write(`| ${cells.join(' | ')} |\n`)
  line('way', 'p50 ms', 'p95 ms', `a second, ${CALLERS} callers`, 'calls to the token a request')
  line('---', '---:', '---:', '---:', '---:')
  for (const { name, p50Ms, p95Ms, perSecond, callsPerRequest } of rows)
    line(name, p50Ms.toFixed(2), p95Ms.toFixed(2), Math.round(perSecond), callsPerRequest.toFixed(2))
  process.stdout.write(
    `\nlatency ${fewer('p50Ms')} % less, throughput ${times} times, calls to the token ${fewer('callsPerRequest')} % less\n`,
  )
  for (const { name, perRequest } of rows) {
    process.stdout.write(`${name}: ${perRequest.map(([fn, calls]) => `${fn} ${calls}`).join(', ')}\n`)
  }
}
