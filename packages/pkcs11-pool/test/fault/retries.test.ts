import { createWrappedModule } from 'testkit'
import { expect, test } from 'vitest'
import { type Client, createClient } from '../../src/index.js'
import { rejection } from '../support/rejection.js'
import { aesKey, useWrappedToken } from '../support/wrapped-token.js'

const { token, module, open } = useWrappedToken([{ label: 'k' }])
const iv = Buffer.alloc(16)
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv } as const
const key = { label: 'k' }
const soon = { initialBackoffMs: 1, maxBackoffMs: 2 }
/** Out of the way. */
const breaker = { failureThreshold: 1_000 }

const SAFE = {
  encrypt: ['C_EncryptInit', (client) => client.encrypt(key, cbc, iv)],
  sign: ['C_SignInit', (client) => client.sign(key, 'CKM_AES_CMAC', iv)],
  digest: ['C_DigestInit', (client) => client.digest('CKM_SHA256', iv)],
  random: ['C_GenerateRandom', (client) => client.generateRandom(4)],
  find: ['C_FindObjectsInit', (client) => client.keys.find(key)],
  get: ['C_FindObjectsInit', (client) => client.keys.get(key)],
} satisfies Record<string, [`C_${string}`, (client: Client) => Promise<unknown>]>

test.each(Object.entries(SAFE))(
  '%s is made again after a failure that may pass, and is answered',
  async (_, [fn, call]) => {
    const client = await open({ retry: soon, breaker })
    for (const rv of ['CKR_FUNCTION_FAILED', 'CKR_DEVICE_ERROR', 'CKR_GENERAL_ERROR', 0x8000_0001] as const) {
      const before = module.calls(fn)
      module.fail(fn, rv, { times: 2 })
      await call(client)
      expect(module.calls(fn) - before).toBe(3)
    }
    expect(client.stats().retries).toEqual({ made: 8, refused: 0 })
    expect(client.metrics()).toContain('pkcs11_pool_retries_total{token="test"} 8')
  },
)

const UNSAFE = {
  generate: [
    'C_GenerateKey',
    (client) => client.keys.generate('CKM_AES_KEY_GEN', { CKA_TOKEN: true, CKA_VALUE_LEN: 32 }),
  ],
  import: ['C_CreateObject', (client) => client.keys.import(aesKey('another', 2, Buffer.alloc(32)))],
  update: ['C_SetAttributeValue', (client) => client.keys.update(key, { CKA_LABEL: 'k' })],
  destroy: ['C_DestroyObject', (client) => client.keys.destroy(key)],
} satisfies Record<string, [`C_${string}`, (client: Client) => Promise<unknown>]>

test.each(Object.entries(UNSAFE))('%s is never made again', async (_, [fn, call]) => {
  const client = await open({ retry: soon, breaker })
  for (const rvName of [
    'CKR_FUNCTION_FAILED',
    'CKR_DEVICE_ERROR',
    'CKR_GENERAL_ERROR',
    'CKR_SESSION_CLOSED',
  ] as const) {
    const before = module.calls(fn)
    module.fail(fn, rvName, { times: 1 })
    expect(await rejection(call(client))).toMatchObject({ rvName })
    expect(module.calls(fn) - before).toBe(1)
  }
  expect(client.stats().retries).toEqual({ made: 0, refused: 0 })
})

test('a session of the user’s own repeats nothing by itself', async () => {
  const client = await open({ retry: soon, breaker })
  module.fail('C_GenerateRandom', 'CKR_FUNCTION_FAILED', { times: 1 })
  expect(await rejection(client.withSession((session) => session.generateRandom(4)))).toMatchObject({
    rvName: 'CKR_FUNCTION_FAILED',
  })
})

test('a signature that takes something of its key away is made once', async () => {
  const client = await open({ retry: soon, breaker })
  module.fail('C_SignInit', 'CKR_FUNCTION_FAILED')
  const before = module.calls('C_SignInit')
  await rejection(client.sign(key, 'CKM_HSS', iv))
  await rejection(client.batch([{ op: 'sign', key, mechanism: 'CKM_HSS', data: iv }]).then(([r]) => Promise.reject(r)))
  expect(module.calls('C_SignInit') - before).toBe(2)
})

test('of a batch that met the end of the login, only what has no answer is sent again', async () => {
  const client = await open({ retry: soon, breaker })
  await client.encrypt(key, cbc, iv)
  const before = module.calls('C_EncryptInit')
  module.fail('C_EncryptInit', 'CKR_USER_NOT_LOGGED_IN', { from: 2, times: 1 })
  const item = { op: 'encrypt', key, mechanism: cbc, data: iv } as const
  const answers = await client.batch([item, item, item])
  expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled'])
  expect(module.calls('C_EncryptInit') - before).toBe(4)
})

test('an item whose handle the token refused is sent again also where another met the end of the login', async () => {
  const client = await open({ retry: soon, breaker })
  await client.encrypt(key, cbc, iv)
  module.fail('C_EncryptInit', 'CKR_KEY_HANDLE_INVALID', { times: 1 })
  module.fail('C_SignInit', 'CKR_USER_NOT_LOGGED_IN', { times: 1 })
  const answers = await client.batch([
    { op: 'encrypt', key, mechanism: cbc, data: iv },
    { op: 'sign', key, mechanism: 'CKM_AES_CMAC', data: iv },
  ])
  expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled'])
})

test('a token that fails everything is not stormed: retries are few beside the calls', async () => {
  const client = await open({ retry: soon, breaker })
  module.fail('C_GenerateRandom', 'CKR_FUNCTION_FAILED')
  const before = module.calls('C_GenerateRandom')
  await Promise.all(Array.from({ length: 100 }, () => rejection(client.generateRandom(4))))
  expect(module.calls('C_GenerateRandom') - before).toBe(110)
  expect(client.stats().retries).toEqual({ made: 10, refused: 100 })
})

test('the caller’s time bounds its retries, and its signal ends the wait for one', async () => {
  const client = await open({ retry: { initialBackoffMs: 600_000, maxBackoffMs: 600_000 }, breaker })
  module.fail('C_GenerateRandom', 'CKR_FUNCTION_FAILED')
  expect(await rejection(client.generateRandom(4, { timeoutMs: 5_000 }))).toMatchObject({
    rvName: 'CKR_FUNCTION_FAILED',
  })
  // Nor is anybody kept longer than one call may take.
  expect(await rejection(client.generateRandom(4))).toMatchObject({ rvName: 'CKR_FUNCTION_FAILED' })
  const gone = new AbortController()
  const waiting = rejection(client.generateRandom(4, { timeoutMs: Infinity, signal: gone.signal }))
  while (client.stats().retries.made === 0) await new Promise(setImmediate)
  gone.abort(new Error('not needed any more'))
  expect(await waiting).toMatchObject({ message: 'not needed any more' })
  expect(client.stats()).toMatchObject({ inUse: 0 })
})

test.each(['C_GetSlotList', 'C_GetTokenInfo'] as const)(
  'a token whose %s fails for a moment, as while another process logs in, is connected to all the same',
  async (name) => {
    // Before the client there is none that could hold the module loaded.
    const fresh = createWrappedModule(token)
    try {
      fresh.fail(name, 'CKR_GENERAL_ERROR', { times: 3 })
      const client = await createClient({
        module: fresh.module,
        token: { label: token.label },
        pin: { file: token.pinFile },
      })
      expect(await client.encrypt(key, cbc, iv)).toHaveLength(32)
      await client.close()
      fresh.fail(name, 'CKR_GENERAL_ERROR')
      const before = fresh.calls(name)
      const failure = createClient({ module: fresh.module, token: { label: token.label } })
      expect(await rejection(failure)).toMatchObject({
        code: name === 'C_GetSlotList' ? 'CRYPTOKI' : 'TOKEN_NOT_FOUND',
      })
      expect(fresh.calls(name) - before).toBeLessThan(50)
    } finally {
      fresh.remove()
    }
  },
)
