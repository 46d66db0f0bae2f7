import { createSecretKey, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createAesKey, createToken } from '../crypto/token.js'
import type { Context } from '../harness/context.js'
import type { WorkloadArguments } from './arguments.js'
import { Core, REPLACED_ID, REPLACED_TRANSPORT } from './core.js'
import { Load } from './load.js'
import { createSubscribers, OWN_LABEL, TRANSPORT_KEYS, transportValues } from './material.js'
import { change, rotate, type RotationTimes } from './rotation.js'
import { Service } from './service.js'
import { type LatencyRow, Tally } from './tally.js'
import { disprove } from './unknown-key.js'

/** The caches fill, and the code is compiled. */
const WARM_UP_MS = 2_000
const STAYING_ID = 2

/** A part of the run: its answers, those that were errors by code, and its latencies. */
export interface Part {
  seconds: number
  answers: number
  errors: Record<string, number>
  rows: LatencyRow[]
}

export interface WorkloadReport {
  closed: Part | undefined
  /** at the rate, but for the rotation */
  steady: Part
  /** at the rate, while the rotation was under way */
  beside: Part
  /** the rotation's own requests */
  rotation: Part & { times: RotationTimes }
  answers: number
  /** answers of the key that was generated in the rotation, proven on the token afterwards */
  proven: number
  wrong: string[]
  /** what `ssm audit verify` says; it is an error where it does not verify */
  audit: string
}

export async function runWorkload(context: Context, asked: WorkloadArguments): Promise<WorkloadReport> {
  context.log('making a token, a data folder and the data of the subscribers')
  const token = await createToken(context, 'workload')
  const own = new Map([REPLACED_ID, STAYING_ID].map((id) => [id, createAesKey()]))
  for (const [id, key] of own) await token.importKey(OWN_LABEL, id, key)
  const [firstOwn] = own.values()
  if (firstOwn === undefined) throw new Error('there is no own key')
  const transport = transportValues()
  const freshTransport = createSecretKey(randomBytes(TRANSPORT_KEYS[REPLACED_TRANSPORT]?.bytes ?? 0))
  const core = new Core(createSubscribers(asked.subscribers, transport, firstOwn), { transport, freshTransport, own })

  // the audit is written to a disk, as it would be; only the token is in memory
  const folder = await mkdtemp(join(tmpdir(), 'ssm-workload-'))
  context.defer(() => rm(folder, { recursive: true, force: true }))
  const service = await Service.start(context, token.place, join(folder, 'data'))
  for (const [place, { label, id, type }] of TRANSPORT_KEYS.entries()) {
    const value = transport[place]?.export().toString('hex')
    await change(service, 'POST', '/crypto/store-key', { key_label: label, id, key_type: type, key_value: value })
  }

  const load = new Load(service)
  const tallies = { warm: new Tally(), closed: new Tally(), steady: new Tally(), beside: new Tally(), own: new Tally() }
  await load.closedLoop(core, tallies.warm, asked.callers, Math.min(WARM_UP_MS, asked.seconds * 1_000))
  if (asked.closedSeconds > 0) {
    context.log(`${asked.callers} callers for ${asked.closedSeconds} s`)
    await load.closedLoop(core, tallies.closed, asked.callers, asked.closedSeconds * 1_000)
  }

  context.log(`${asked.rate} a second for ${asked.seconds} s, and the rotation in the middle`)
  let now: Tally | undefined = tallies.steady
  const open = load.openLoop(core, asked.rate, () => now)
  await delay(asked.seconds * 500)
  now = tallies.beside
  const rotating = performance.now()
  const times = await rotate(service, core, load, tallies.own, asked.atOnce)
  const rotationSeconds = Math.round((performance.now() - rotating) / 100) / 10
  now = tallies.steady
  await delay(asked.seconds * 500)
  now = undefined
  await open

  await service.stop()
  context.log(`proving ${core.claims.length} answers of the generated key on the token`)
  const disproven = disprove(token.place, REPLACED_ID, core.claims)
  const wrong = [...load.wrong, ...disproven.map((claim) => `the token says otherwise: ${JSON.stringify(claim)}`)]
  return {
    closed: asked.closedSeconds > 0 ? partOf(tallies.closed, asked.closedSeconds) : undefined,
    steady: partOf(tallies.steady, asked.seconds),
    beside: partOf(tallies.beside, rotationSeconds),
    rotation: { ...partOf(tallies.own, rotationSeconds), times },
    answers: Object.values(tallies).reduce((sum, { answers }) => sum + answers, 0),
    proven: core.claims.length - disproven.length,
    wrong,
    audit: await service.verifyAudit(),
  }
}

function partOf(tally: Tally, seconds: number): Part {
  return { seconds, answers: tally.answers, errors: tally.errors, rows: tally.rows() }
}
