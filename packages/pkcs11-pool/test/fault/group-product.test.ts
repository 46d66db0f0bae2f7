import { createCipheriv, randomBytes } from 'node:crypto'
import { beforeAll, expect, test } from 'vitest'
import { type ClientGroup, Pkcs11PoolError } from '../../src/index.js'
import { until, useTokenGroup } from '../support/token-group.js'
import { aesKey } from '../support/wrapped-token.js'

const { tokens, open, plant } = useTokenGroup(['a', 'b'])
type Module = (typeof tokens)[0]['module']
const modules = tokens.map(({ module }) => module)

const value = randomBytes(32)
const iv = randomBytes(16)
const plain = randomBytes(40)
const cipher = createCipheriv('aes-256-cbc', value, iv)
const expected = Buffer.concat([cipher.update(plain), cipher.final()])
const key = { label: 'known' }
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv } as const
beforeAll(async () => {
  for (const name of ['a', 'b']) await plant(name, aesKey('known', 1, value))
})

const FUNCTIONS = ['C_OpenSession', 'C_FindObjectsInit', 'C_EncryptInit', 'C_Encrypt'] as const

/** How one of the two tokens is. Whatever the other is: `ok` and `slow` answer, `error` and `never` do not. */
const BEHAVIOURS = {
  ok: () => undefined,
  error: (module: Module) => FUNCTIONS.forEach((name) => module.fail(name, 'CKR_DEVICE_ERROR')),
  slow: (module: Module) => FUNCTIONS.forEach((name) => module.delay(name, 2_000)),
  never: (module: Module) => FUNCTIONS.forEach((name) => module.hang(name)),
} satisfies Record<string, (module: Module) => void>
type Behaviour = keyof typeof BEHAVIOURS
const ALL = Object.keys(BEHAVIOURS) as Behaviour[]
const ANSWERS: ReadonlySet<Behaviour> = new Set(['ok', 'slow'])

const check = async (result: Promise<Buffer>) => expect(await result).toEqual(expected)
const item = { op: 'encrypt', key, mechanism: cbc, data: plain } as const

/** What is done three times over in each cell; each resolves with the right answer, or rejects. */
const OPERATIONS: Record<string, (group: ClientGroup) => Promise<unknown>> = {
  encrypt: (group) => check(group.encrypt(key, cbc, plain)),
  withSession: (group) =>
    check(group.withSession(async (session) => session.encrypt(await session.findKey(key), cbc, plain))),
  async batch(group) {
    const [result] = await group.batch([item])
    if (result?.status === 'rejected') throw result.reason
    expect(result?.value).toEqual(expected)
  },
  async get(group) {
    expect(await group.keys.get(key)).toMatchObject({ label: 'known', sizeBits: 256 })
  },
}
/** Once it runs in a session, `withSession` cannot go elsewhere: the session is its own. */
const STAYS: ReadonlySet<string> = new Set(['withSession'])

const cells = ALL.flatMap((one) =>
  ALL.flatMap((other) => Object.keys(OPERATIONS).map((operation) => [one, other, operation] as const)),
)

test.each(cells)(`one of ${cells.length}: a %s, b %s, %s`, async (one, other, operation) => {
  const both = ANSWERS.has(one) && ANSWERS.has(other)
  const neither = !ANSWERS.has(one) && !ANSWERS.has(other)
  // Short where calls have to time out, and long where they must not.
  const timeoutMs = neither || (STAYS.has(operation) && !both) ? 300 : 20_000
  const group = await open(
    { nextMemberAfterMs: 10, minMembers: 2 },
    {
      pool: { maxSize: 3, minSize: 0, acquireTimeoutMs: timeoutMs, operationTimeoutMs: timeoutMs },
      breaker: { failureThreshold: 3, initialBackoffMs: 600_000, maxBackoffMs: 600_000 },
    },
  )
  for (const [at, behaviour] of [one, other].entries()) BEHAVIOURS[behaviour](modules[at] as Module)
  const use = OPERATIONS[operation] as (typeof OPERATIONS)[string]
  const settled = []
  for (let time = 0; time < 3; time += 1) settled.push(...(await Promise.allSettled([use(group), use(group)])))
  for (const each of settled) {
    if (each.status === 'rejected') expect(each.reason).toBeInstanceOf(Pkcs11PoolError)
  }
  const failed = settled.filter(({ status }) => status === 'rejected')
  if (both || (!neither && !STAYS.has(operation))) expect(failed).toEqual([])
  if (neither) expect(failed).toHaveLength(settled.length)
  for (const module of modules) module.clear()
  await group.close()
  await until(() => modules.every((module) => module.running() === 0 && module.openSessions() === 0))
})
