import { createCipheriv, randomBytes } from 'node:crypto'
import type { FunctionName, ReturnValue } from 'testkit'
import { beforeAll, expect, test } from 'vitest'
import { type Client, type ClientOptions, Pkcs11PoolError } from '../../src/index.js'
import { breakerCloses } from '../support/next-event.js'
import { aesKey, useWrappedToken } from '../support/wrapped-token.js'

const { module, open } = useWrappedToken()

const value = randomBytes(32)
const iv = randomBytes(16)
const plain = randomBytes(40)
const cipher = createCipheriv('aes-256-cbc', value, iv)
const expected = Buffer.concat([cipher.update(plain), cipher.final()])
beforeAll(async () => {
  const client = await open()
  await client.keys.import(aesKey('known', 1, value))
  await client.close()
})
const encrypt = (client: Client) => client.encrypt({ label: 'known' }, { mechanism: 'CKM_AES_CBC_PAD', iv }, plain)

const OPTIONS: Partial<ClientOptions> = {
  pool: {
    maxSize: 4,
    minSize: 1,
    acquireTimeoutMs: 500,
    createTimeoutMs: 200,
    operationTimeoutMs: 200,
    validateTimeoutMs: 50,
  },
  breaker: { failureThreshold: 3, initialBackoffMs: 2, maxBackoffMs: 10 },
  health: { probeTimeoutMs: 50, probeIntervalMs: 10 },
  retry: { initialBackoffMs: 1, maxBackoffMs: 2 },
}

/** Every function that the client uses, down to a new initialisation of the module, which must be able to fail too. */
const FUNCTIONS = [
  'C_Initialize',
  'C_Finalize',
  'C_GetSlotList',
  'C_GetTokenInfo',
  'C_OpenSession',
  'C_CloseSession',
  'C_GetSessionInfo',
  'C_Login',
  'C_FindObjectsInit',
  'C_EncryptInit',
  'C_Encrypt',
] as const satisfies FunctionName[]

const failing = (rv: ReturnValue) => (name: FunctionName) => module.fail(name, rv)
const FAULTS = {
  'of the session': failing('CKR_GENERAL_ERROR'),
  'of the session, which is gone': failing('CKR_SESSION_HANDLE_INVALID'),
  'of the login': failing('CKR_USER_NOT_LOGGED_IN'),
  'of the token': failing('CKR_DEVICE_ERROR'),
  'of the token, which is gone': failing('CKR_DEVICE_REMOVED'),
  'of the slot, which is empty': failing('CKR_TOKEN_NOT_PRESENT'),
  'of the module': failing('CKR_MUTEX_BAD'),
  'of the module, which is not initialised': failing('CKR_CRYPTOKI_NOT_INITIALIZED'),
  'of overload': failing('CKR_FUNCTION_FAILED'),
  'of too many sessions': failing('CKR_SESSION_COUNT'),
  'that a vendor made up': failing(0x8000_0001),
  'that never returns': (name: FunctionName) => module.hang(name),
} satisfies Record<string, (name: FunctionName) => void>

/** A module that says that it is not initialised, of what would initialise it, would be believed for ever. */
function answersAmiss(fault: string, name: string): boolean {
  return fault.endsWith('not initialised') && (name === 'C_Initialize' || name === 'C_Finalize')
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate)
}

/** Callers that go on whatever they are answered; every answer is checked. */
function keepBusy(client: Client): { failures: number; end(): Promise<void> } {
  const again = async () => {
    while (!load.over) {
      try {
        expect(await encrypt(client)).toEqual(expected)
      } catch (error) {
        if (!(error instanceof Pkcs11PoolError)) throw error
        load.failures += 1
        // A refusal that costs nothing would leave the event loop no time.
        await new Promise(setImmediate)
      }
    }
  }
  const load = {
    over: false,
    failures: 0,
    async end() {
      load.over = true
      await Promise.all(callers)
    },
  }
  const callers = Array.from({ length: 8 }, again)
  return load
}

/** After the fault was lifted: at most one try that was set, or under way, before; the next one succeeds. */
async function recovers(client: Client): Promise<void> {
  let tries = 0
  client.on('breaker', ({ state }) => {
    if (state === 'half-open') tries += 1
  })
  await breakerCloses(client)
  expect(tries).toBeLessThanOrEqual(2)
}

test.each(Object.entries(FAULTS))(
  'service returns with the next probe, without a restart, after a fault of every function %s',
  async (fault, misbehave) => {
    const client = await open(OPTIONS)
    expect(await encrypt(client)).toEqual(expected)
    const load = keepBusy(client)
    for (const name of FUNCTIONS) if (!answersAmiss(fault, name)) misbehave(name)
    await until(() => load.failures > 50)
    module.clear()
    await recovers(client)
    await load.end()
    // The queue of what was under way is done; from here on nothing fails.
    await recovers(client)
    expect(await encrypt(client)).toEqual(expected)
    const { currentSize, available, inUse } = client.stats()
    expect(currentSize).toBe(available + inUse)
    await until(() => client.stats().engine.hung === 0)
    await client.close()
    await until(() => module.running() === 0 && module.openSessions() === 0)
  },
)
