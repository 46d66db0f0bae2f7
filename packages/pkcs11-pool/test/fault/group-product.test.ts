import { createCipheriv, createHash, createHmac, randomBytes } from 'node:crypto'
import type { Rule } from 'pkcs11-chaos'
import { beforeAll, expect, test } from 'vitest'
import { type ClientGroup, type GroupDivergedError, Pkcs11PoolError } from '../../src/index.js'
import { useTokenGroup } from '../support/token-group.js'
import { aesKey } from '../support/wrapped-token.js'

const names = ['a', 'b'] as const
const { chaos, open, plant, fault, count } = useTokenGroup(names)

const value = randomBytes(32)
const iv = randomBytes(16)
const plain = randomBytes(40)
const cipher = createCipheriv('aes-256-cbc', value, iv)
const expected = Buffer.concat([cipher.update(plain), cipher.final()])
const mac = createHmac('sha256', value).update(plain).digest()
const key = { label: 'known' }
const macKey = { label: 'mac' }
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv } as const
const item = { op: 'encrypt', key, mechanism: cbc, data: plain } as const

beforeAll(async () => {
  const { CKA_ENCRYPT: _, CKA_DECRYPT: __, ...generic } = aesKey('mac', 2, value)
  for (const name of names) {
    await plant(name, aesKey('known', 1, value), { ...generic, CKA_KEY_TYPE: 'CKK_GENERIC_SECRET', CKA_SIGN: true })
  }
  await chaos.resetCounters()
})

const equal = async (result: Promise<unknown>, right: unknown) => expect(await result).toEqual(right)

type Options = { timeoutMs: number }

/** Each resolves with the right answer, or rejects. */
const USES: Record<string, (group: ClientGroup, options: Options) => Promise<unknown>> = {
  encrypt: (group, options) => equal(group.encrypt(key, cbc, plain, options), expected),
  sign: (group, options) => equal(group.sign(macKey, 'CKM_SHA256_HMAC', plain, options), mac),
  digest: (group, options) =>
    equal(group.digest('CKM_SHA256', plain, options), createHash('sha256').update(plain).digest()),
  get: async (group, options) => expect(await group.keys.get(key, options)).toMatchObject({ label: 'known' }),
  withSession: (group, options) =>
    equal(
      group.withSession(async (session) => session.encrypt(await session.findKey(key), cbc, plain), options),
      expected,
    ),
  async batch(group, options) {
    const [result] = await group.batch([item], options)
    if (result?.status === 'rejected') throw result.reason
    expect(result?.value).toEqual(expected)
  },
}
/** Those that are also made in sessions that are open already. */
const WARM = ['encrypt', 'withSession', 'batch']

const USED = [
  'C_OpenSession',
  'C_FindObjectsInit',
  'C_GetAttributeValue',
  'C_EncryptInit',
  'C_Encrypt',
  'C_SignInit',
  'C_Sign',
  'C_DigestInit',
  'C_Digest',
] as const
const CHANGING = ['C_CreateObject', 'C_SetAttributeValue', 'C_DestroyObject'] as const

/** How a token is: `ok` and `slow` answer; of `lost`, a change takes effect and is answered with an error. */
const RULES = {
  ok: undefined,
  error: { on: [...USED, ...CHANGING], fail: 'CKR_DEVICE_ERROR' },
  slow: { on: [...USED, ...CHANGING], delayMs: 5 },
  never: { on: [...USED, ...CHANGING], hang: true },
  lost: { on: CHANGING, fail: 'CKR_DEVICE_ERROR', phase: 'after' },
} satisfies Record<string, Rule | undefined>
type Behaviour = keyof typeof RULES
const ANSWERS: ReadonlySet<Behaviour> = new Set(['ok', 'slow'])

async function behave(one: Behaviour, other: Behaviour): Promise<void> {
  for (const [name, behaviour] of [
    ['a', one],
    ['b', other],
  ] as const) {
    const rule = RULES[behaviour]
    if (rule !== undefined) await fault(name, rule)
  }
}

const SHORT_MS = 60
const LONG_MS = 20_000
/** Left alone for the rest of the cell once it has failed so often. */
const breaker = { failureThreshold: 3, initialBackoffMs: 600_000, maxBackoffMs: 600_000 }

const behaviours = ['ok', 'error', 'slow', 'never'] as const
const moments = [
  ...Object.keys(USES).map((use) => [use, 'opened for it'] as const),
  ...WARM.map((use) => [use, 'open already'] as const),
]
// Whichever is which: members that are loaded alike take turns in being asked first.
const uses = behaviours.flatMap((one, at) =>
  behaviours.slice(at).flatMap((other) => moments.map(([use, sessions]) => [one, other, use, sessions] as const)),
)

test.each(uses)(`one of ${uses.length} uses: a %s, b %s, %s, sessions %s`, async (one, other, name, sessions) => {
  const answering = [one, other].filter((each) => ANSWERS.has(each)).length
  // In a session that there was already, withSession cannot go elsewhere when its member fails.
  const stays = name === 'withSession' && sessions === 'open already'
  const isSure = answering === 2 || (answering === 1 && !stays)
  const group = await open({ nextMemberAfterMs: 10, minMembers: 2 }, { pool: { maxSize: 3, minSize: 0 }, breaker })
  const use = USES[name] as (typeof USES)[string]
  // Short where calls have to time out, and long where they must not.
  const options = { timeoutMs: isSure ? LONG_MS : SHORT_MS }
  if (sessions === 'open already') await Promise.all(Array.from({ length: 4 }, () => group.digest('CKM_SHA256', plain)))
  await behave(one, other)
  const settled = []
  for (let time = 0; time <= answering; time += 1) {
    settled.push(...(await Promise.allSettled([use(group, options), use(group, options)])))
  }
  const reasons = settled.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []))
  // An answer that is wrong rejects with an error of the test's own.
  for (const reason of reasons) expect(reason).toBeInstanceOf(Pkcs11PoolError)
  if (isSure) expect(reasons).toEqual([])
  if (answering === 0) expect(reasons).toHaveLength(settled.length)
  expect((await chaos.counters()).logins).toMatchObject({ accepted: 2, rejected: 0, failed: 0 })
})

let ids = 100

/** Each changes the key `id`, and says by which label the key is found where that was done; undefined: it is not. */
const CHANGES: Record<string, { change(group: ClientGroup, id: number): Promise<unknown>; label: string | undefined }> =
  {
    import: { change: (group, id) => group.keys.import(aesKey('new', id, value)), label: 'new' },
    update: { change: (group, id) => group.keys.update({ id }, { CKA_LABEL: 'new' }), label: 'new' },
    destroy: { change: (group, id) => group.keys.destroy({ id }), label: undefined },
  }

const changes = (Object.keys(RULES) as Behaviour[]).flatMap((one, _, all) =>
  all.flatMap((other) => Object.keys(CHANGES).map((change) => [one, other, change] as const)),
)

test.each(changes)(`one of ${changes.length} changes: a %s, b %s, %s`, async (one, other, name) => {
  const { change, label } = CHANGES[name] as (typeof CHANGES)[string]
  const isSure = ANSWERS.has(one) && ANSWERS.has(other)
  // What is really there, as clients of their own see it, who have all the time they need.
  const truth = await open({ minMembers: 2 })
  const members = names.map((member) => truth.member(member))
  const group = await open(
    { minMembers: 2 },
    { pool: { maxSize: 3, operationTimeoutMs: isSure ? LONG_MS : SHORT_MS }, breaker: { failureThreshold: 1_000 } },
  )
  const id = (ids += 1)
  const before = name === 'import' ? undefined : 'old'
  if (before !== undefined) for (const member of members) await member.keys.import(aesKey(before, id, value))
  await behave(one, other)
  const sent = await Promise.all(CHANGING.map(count))
  const [outcome] = await Promise.allSettled([change(group, id)])
  for (const counts of sent) for (const calls of await counts()) expect(calls).toBeLessThanOrEqual(1)
  await chaos.rules.clear()
  // What hung has taken effect, if it does, when nothing is inside any more.
  await chaos.waitFor(({ inFlight }) => inFlight === 0)
  const labels = await Promise.all(
    members.map(async ({ keys }) => (await keys.find({ id })).map((found) => found.label)),
  )
  const done = label === undefined ? [] : [label]
  const undone = before === undefined ? [] : [before]
  if (outcome.status === 'fulfilled') {
    expect(labels).toEqual([done, done])
  } else if ((outcome.reason as Pkcs11PoolError).code === 'GROUP_DIVERGED') {
    const { outcomes } = outcome.reason as GroupDivergedError
    expect(outcomes.map(({ member }) => member)).toEqual(names)
    for (const [at, each] of outcomes.entries()) {
      if (each.outcome === 'done') expect(labels[at]).toEqual(done)
      else if (each.outcome === 'not done') expect(labels[at]).toEqual(undone)
      else expect([done, undone]).toContainEqual(labels[at])
    }
    expect(isSure).toBe(false)
  } else {
    expect(outcome.reason).toBeInstanceOf(Pkcs11PoolError)
    expect(labels).toEqual([undone, undone])
    expect(isSure).toBe(false)
  }
})
