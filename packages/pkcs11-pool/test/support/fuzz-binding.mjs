// Calls the addon's surface with whatever fast-check makes up, on a real token. Run by binding-surface.test.ts in a process of its
// own, so that a crash is an exit status. Prints a line of JSON: how much was tried, accepted and answered.
//
//   node fuzz-binding.mjs SEED RUNS MODULE SLOT PIN-FILE
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { isProxy } from 'node:util/types'
import fc from 'fast-check'

const [seed, runs, module, slotId, pinFile] = process.argv.slice(2)
const native = createRequire(import.meta.url)('node-gyp-build')(fileURLToPath(new URL('../..', import.meta.url)))

const OPERATIONS = 30
const BATCH = 26
const counts = { tried: 0, refused: 0, accepted: 0, completed: 0, cancelled: 0 }
const open = new Map()
const problems = []

const detached = () => {
  const bytes = new Uint8Array(16)
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
  return bytes
}
const hostile = () =>
  new Proxy([1, 2, 3], {
    get(target, name) {
      if (name === '1') throw new Error('a hostile element')
      return target[name]
    },
  })

/** A packed mechanism or template, now and then cut or changed. */
const packedMechanism = fc
  .record({
    type: fc.constantFrom(0x1085, 0x1087, 0x1081, 0x1041, 0x250, 0x1080, 9),
    kind: fc.nat(13),
    a: fc.uint8Array({ maxLength: 40 }),
    b: fc.uint8Array({ maxLength: 40 }),
    n: fc.nat(300),
  })
  .map(({ type, kind, a, b, n }) => {
    const bytes = Buffer.alloc(44 + a.length + b.length)
    bytes.writeUInt32LE(type, 0)
    bytes.writeUInt32LE(kind, 8)
    for (const at of [12, 20, 28]) bytes.writeUInt32LE(n, at)
    bytes.writeUInt32LE(a.length, 36)
    bytes.writeUInt32LE(b.length, 40)
    bytes.set(a, 44)
    bytes.set(b, 44 + a.length)
    return bytes
  })
const packedTemplate = fc
  .array(
    fc.record({
      type: fc.constantFrom(0, 1, 3, 0x100, 0x102, 0x161, 0x8000_0000),
      value: fc.uint8Array({ maxLength: 24 }),
    }),
    { maxLength: 5 },
  )
  .map((attributes) => {
    const parts = attributes.map(({ type, value }) => {
      const head = Buffer.alloc(12)
      head.writeUInt32LE(type, 0)
      head.writeUInt32LE(value.length, 8)
      return Buffer.concat([head, value])
    })
    const count = Buffer.alloc(4)
    count.writeUInt32LE(parts.length)
    return Buffer.concat([count, ...parts])
  })
const mutated = (bytes) =>
  fc.tuple(bytes, fc.nat(200), fc.nat(255)).map(([value, at, byte]) => {
    const copy = Buffer.from(value)
    if (at < copy.length) copy[at] = byte
    return at % 3 === 0 ? copy.subarray(0, at) : copy
  })

const anything = fc.oneof(
  fc.anything({ withBigInt: true, withTypedArray: true, withDate: true, withNullPrototype: true, maxDepth: 1 }),
  fc.constantFrom(
    0,
    -1,
    1e20,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2 ** 53,
    2n ** 64n,
    -1n,
    1n,
    undefined,
    null,
    '',
    'text',
  ),
  fc.uint8Array({ maxLength: 64 }),
  fc.constantFrom('detached', 'shared', 'hostile', 'pin', 'wiped', 'fake').map((name) => ({ special: name })),
  packedMechanism,
  mutated(packedMechanism),
  packedTemplate,
  mutated(packedTemplate),
  fc.array(fc.array(fc.oneof(fc.nat(30), packedMechanism, fc.uint8Array({ maxLength: 32 })), { maxLength: 6 }), {
    maxLength: 4,
  }),
)

const pin = new native.Pin({ file: pinFile })
const wiped = new native.Pin({ value: '1234' })
wiped.wipe()
const specials = {
  detached,
  shared: () => new Uint8Array(new SharedArrayBuffer(16)),
  hostile,
  pin: () => pin,
  wiped: () => wiped,
  fake: () => Object.create(native.Pin.prototype),
}
const made = (value) =>
  !isProxy(value) && value?.special !== undefined ? (specials[value.special]?.() ?? value) : value

let engine
function renew() {
  const mine = new native.Engine((batch) => {
    for (let at = 0; at < batch.length; at += 4) {
      if (batch[at + 1] === -4) continue
      const job = open.get(batch[at])
      if (job !== mine) problems.push(`job ${batch[at]} was answered and not open`)
      open.delete(batch[at])
      counts.completed += 1
    }
  })
  engine = mine
  // Two real sessions, logged in, that what follows may happen to.
  submit(0, 0, 60_000, [module])
  for (let opened = 0; opened < 2; opened += 1) submit(2, 0, 60_000, [slot, 6])
}

let job = 0
const sessions = [0, 1, 2, 3]
function submit(operation, session, deadline, args) {
  counts.tried += 1
  job += 1
  try {
    engine.submit(job, operation, session, deadline, ...args)
    open.set(job, engine)
    counts.accepted += 1
  } catch (error) {
    counts.refused += 1
    if (!(error instanceof Error)) problems.push(`threw ${String(error)}`)
  }
}

const action = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      verb: fc.constant('submit'),
      operation: fc.nat(OPERATIONS),
      session: fc.constantFrom(...sessions),
      deadline: fc.constantFrom(0, 1, 50, 10_000, Number.POSITIVE_INFINITY),
      args: fc.array(anything, { maxLength: 5 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ verb: fc.constant('raw'), args: fc.array(anything, { maxLength: 8 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({ verb: fc.constant('well formed'), kind: fc.nat(9), session: fc.constantFrom(...sessions) }),
  },
  { weight: 2, arbitrary: fc.record({ verb: fc.constant('cancel'), back: fc.nat(5) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      verb: fc.constantFrom('dispose', 'stats', 'foreign', 'pin', 'threads', 'detach'),
      value: anything,
    }),
  },
)

const NO_PARAMETER = Buffer.alloc(44)
NO_PARAMETER.writeUInt32LE(0x1081, 0)
const EMPTY = Buffer.alloc(4)
const slot = Number(slotId)

function perform(step) {
  switch (step.verb) {
    case 'submit':
      return submit(step.operation, step.session, step.deadline, step.args.map(made))
    case 'raw':
      counts.tried += 1
      try {
        engine.submit(...step.args.map(made))
        open.set(Number(step.args[0]) >>> 0, engine)
        counts.accepted += 1
      } catch (error) {
        counts.refused += 1
        if (!(error instanceof Error)) problems.push(`threw ${String(error)}`)
      }
      return
    case 'well formed':
      switch (step.kind) {
        case 0:
          return submit(0, 0, 10_000, [module])
        case 1:
          return submit(28, 0, 10_000, [])
        case 2:
          return submit(2, 0, 10_000, [slot, 6])
        case 3:
          return submit(4, step.session, 10_000, [1, pin])
        case 4:
          return submit(7, step.session, 10_000, [EMPTY, 10, [0, 3, 0x102]])
        case 5:
          return submit(18, step.session, 10_000, [NO_PARAMETER, 2, new Uint8Array(16)])
        case 6:
          return submit(3, step.session, 10_000, [])
        case 7:
          return submit(24, step.session, 10_000, [70])
        case 8:
          return submit(27, 0, 10_000, [pin])
        default:
          return submit(BATCH, step.session, 10_000, [
            [
              [18, NO_PARAMETER, 2, new Uint8Array(16)],
              [22, NO_PARAMETER, 0, new Uint8Array(4)],
            ],
          ])
      }
    case 'cancel': {
      const number = job - step.back
      if (engine.cancel(number)) {
        counts.cancelled += 1
        if (!open.delete(number)) problems.push(`job ${number} was cancelled and not open`)
      }
      return
    }
    case 'dispose':
      engine.dispose()
      engine.dispose()
      return renew()
    case 'detach':
      // once only: what has no memory any more cannot be transferred
      if (engine.outbox.length > 0) structuredClone(engine.outbox.buffer, { transfer: [engine.outbox.buffer] })
      return
    default:
      try {
        if (step.verb === 'stats') engine.stats(made(step.value))
        if (step.verb === 'foreign') native.Engine.prototype.submit.call(made(step.value), 1, 1, 0, 1)
        if (step.verb === 'pin')
          specials.pin = (
            (other) => () =>
              other
          )(new native.Pin(made(step.value)))
        if (step.verb === 'threads') engine.setMaxThreads(made(step.value))
      } catch (error) {
        if (!(error instanceof Error)) problems.push(`threw ${String(error)}`)
      }
  }
}

renew()
await fc.assert(
  fc.asyncProperty(fc.array(action, { minLength: 1, maxLength: 30 }), async (steps) => {
    for (const step of steps) perform(step)
    await new Promise(setImmediate)
    return problems.length === 0
  }),
  { seed: Number(seed), numRuns: Number(runs), endOnFailure: true },
)
engine.dispose()
while (open.size > 0) await new Promise(setImmediate)
process.stdout.write(`${JSON.stringify({ ...counts, problems })}\n`)
