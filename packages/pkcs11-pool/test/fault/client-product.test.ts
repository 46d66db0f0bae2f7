import { createCipheriv, randomBytes } from 'node:crypto'
import type { FunctionName, ReturnValue } from 'testkit'
import { beforeAll, expect, test } from 'vitest'
import { type Client, type ClientOptions, Pkcs11PoolError } from '../../src/index.js'
import { aesKey, useWrappedToken } from '../support/wrapped-token.js'

const { module, open: openUntilTestEnds } = useWrappedToken()

const value = randomBytes(32)
const iv = randomBytes(16)
const plain = randomBytes(40)
const cipher = createCipheriv('aes-256-cbc', value, iv)
const expected = Buffer.concat([cipher.update(plain), cipher.final()])
beforeAll(async () => {
  const client = await openUntilTestEnds()
  await client.keys.import(aesKey('known', 1, value))
  await client.close()
})

const key = { label: 'known' }
const mechanism = { mechanism: 'CKM_AES_CBC_PAD', iv } as const
const encrypt = (client: Client) => client.encrypt(key, mechanism, plain)

/** What a function does once the rule is set; one return value of each category that decides what becomes of session and client. */
const BEHAVIOURS = {
  ok: () => undefined,
  'a fault of the caller': fails('CKR_ARGUMENTS_BAD'),
  'a fault of the session': fails('CKR_SESSION_CLOSED'),
  'no login': fails('CKR_USER_NOT_LOGGED_IN'),
  'a fault of the token': fails('CKR_DEVICE_ERROR'),
  'a fault of the module': fails('CKR_CRYPTOKI_NOT_INITIALIZED'),
  'a rejected PIN': fails('CKR_PIN_INCORRECT'),
  overload: fails('CKR_HOST_MEMORY'),
  slow: (name) => module.delay(name, 5_000),
  never: (name) => module.hang(name),
} satisfies Record<string, (name: FunctionName) => void>
type Behaviour = keyof typeof BEHAVIOURS

function fails(rv: ReturnValue): (name: FunctionName) => void {
  return (name) => module.fail(name, rv)
}

const FUNCTIONS = [
  'C_OpenSession',
  'C_Login',
  'C_FindObjectsInit',
  'C_EncryptInit',
  'C_Encrypt',
  'C_CloseSession',
  'C_GetSessionInfo',
] as const

const OPTIONS: Partial<ClientOptions> = {
  pool: {
    maxSize: 3,
    minSize: 1,
    acquireTimeoutMs: 120,
    createTimeoutMs: 80,
    validateTimeoutMs: 40,
    validateIfIdleMs: 0,
    operationTimeoutMs: 60,
  },
}
const CLOSE = { timeoutMs: 80 }

const clients: Client[] = []

async function open(): Promise<Client> {
  const client = await openUntilTestEnds(OPTIONS)
  clients.push(client)
  return client
}

type Settled = PromiseSettledResult<unknown>[]

function checkStats(client: Client): void {
  const { currentSize, available, inUse, created, destroyed } = client.stats()
  expect(currentSize).toBe(available + inUse)
  expect(created - destroyed).toBe(currentSize)
}

async function settle(client: Client, ...promises: Promise<unknown>[]): Promise<Settled> {
  checkStats(client)
  const settled = await Promise.allSettled(promises)
  checkStats(client)
  return settled
}

const use = (client: Client) => settle(client, ...Array.from({ length: 5 }, () => encrypt(client)))

/** When the function begins to misbehave. Each answers with what became of the encryptions asked for since. */
const MOMENTS = {
  async createClient(misbehave) {
    misbehave()
    const client = await open()
    return use(client)
  },
  async 'its first use'(misbehave) {
    const client = await open()
    misbehave()
    return [...(await use(client)), ...(await use(client))]
  },
  async withSession(misbehave) {
    const client = await open()
    const inSession = client.withSession(async (session) => {
      misbehave()
      const found = await session.findKey(key)
      return session.encrypt(found, mechanism, plain)
    })
    return [...(await settle(client, inSession)), ...(await use(client))]
  },
  async closing(misbehave) {
    const client = await open()
    await encrypt(client)
    const beforehand = encrypt(client)
    misbehave()
    const closed = client.close(CLOSE).then(() => expected)
    return settle(client, beforehand, closed, encrypt(client))
  },
} satisfies Record<string, (misbehave: () => void) => Promise<Settled>>
type Moment = keyof typeof MOMENTS

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate)
}

const tally = { fulfilled: 0, rejected: 0 }

/** The invariants of one cell, whatever the client makes of it. */
async function checkCell(behaviour: Behaviour, name: FunctionName, moment: Moment): Promise<void> {
  let logins = 0
  const misbehave = () => {
    logins = module.calls('C_Login')
    BEHAVIOURS[behaviour](name)
  }
  let outcome: Settled
  try {
    outcome = await MOMENTS[moment](misbehave)
  } catch (reason) {
    outcome = [{ status: 'rejected', reason }]
  }
  for (const each of outcome) {
    if (each.status === 'fulfilled') expect(each.value).toEqual(expected)
    else expect(each.reason).toBeInstanceOf(Pkcs11PoolError)
    tally[each.status] += 1
  }
  // A PIN that was rejected, or may yet be, is not sent again.
  if (name === 'C_Login' && (behaviour === 'a rejected PIN' || behaviour === 'never')) {
    expect(module.calls('C_Login') - logins).toBeLessThanOrEqual(1)
  }
}

const cells = (Object.keys(BEHAVIOURS) as Behaviour[]).flatMap((behaviour) =>
  FUNCTIONS.flatMap((name) => (Object.keys(MOMENTS) as Moment[]).map((moment) => [behaviour, name, moment] as const)),
)

test.each(cells)(`one of ${cells.length}: %s, by %s, from %s on`, async (behaviour, name, moment) => {
  await checkCell(behaviour, name, moment)
  module.clear()
  await Promise.all(clients.splice(0).map((client) => client.close()))
  await until(() => module.running() === 0 && module.openSessions() === 0)
})

test('it was no idle run: calls succeeded, and calls failed', () => {
  expect(tally.fulfilled).toBeGreaterThan(cells.length)
  expect(tally.rejected).toBeGreaterThan(cells.length)
})
