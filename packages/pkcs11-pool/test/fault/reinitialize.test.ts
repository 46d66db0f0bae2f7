import { Worker } from 'node:worker_threads'
import pkcs11js from 'pkcs11js'
import { expect, test } from 'vitest'
import type { Client } from '../../src/index.js'
import { breakerCloses, nextEvent } from '../support/next-event.js'
import { rejection } from '../support/rejection.js'
import { useWrappedToken } from '../support/wrapped-token.js'

const { token, module, open } = useWrappedToken([{ label: 'k' }])
const iv = Buffer.alloc(16)
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv } as const
const key = { label: 'k' }
const breaker = { failureThreshold: 3, initialBackoffMs: 2, maxBackoffMs: 5 }
const encrypt = (client: Client) => client.encrypt(key, cbc, iv)
const many = (client: Client) => Promise.all(Array.from({ length: 16 }, () => encrypt(client)))

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate)
}

/** Another part of the process ends the module, as PKCS#11 lets it. */
function finalizeBehindOurBack(): void {
  const other = new pkcs11js.PKCS11()
  other.load(module.module)
  other.C_Finalize()
}

test('a module that was finalised by another part of the process is initialised again, and calls are answered', async () => {
  const client = await open({ pool: { maxSize: 8 } })
  const [expected] = await many(client)
  const before = module.calls('C_Initialize')
  for (let round = 1; round <= 3; round += 1) {
    finalizeBehindOurBack()
    for (const answer of await many(client)) expect(answer).toEqual(expected)
    expect(module.calls('C_Initialize') - before).toBe(round)
    expect(client.stats()).toMatchObject({ moduleInitializations: round, breakerOpened: 0, generation: 1 + round })
  }
})

test('of several clients one has it initialised, and all go on', async () => {
  const clients = [await open(), await open(), await open()]
  await Promise.all(clients.map(many))
  const before = module.calls('C_Initialize')
  finalizeBehindOurBack()
  for (const answers of await Promise.all(clients.map(many))) expect(answers).toHaveLength(16)
  expect(module.calls('C_Initialize') - before).toBe(1)
  // Each has its own login again, and none closes another's session.
  for (const client of clients) await client.close()
  await until(() => module.openSessions() === 0)
})

test('a client that was at rest meanwhile finds its keys as before, not missing for want of a login', async () => {
  const [active, resting] = [await open(), await open({ pool: { minSize: 0 } })]
  finalizeBehindOurBack()
  await many(active)
  expect(await encrypt(resting)).toHaveLength(32)
})

/** Has a client try to find its token again, until it has tried to have the module initialised again too. */
async function loseToken(client: Client): Promise<void> {
  await encrypt(client)
  const before = module.calls('C_Initialize')
  module.fail('C_OpenSession', 'CKR_TOKEN_NOT_PRESENT')
  module.fail('C_EncryptInit', 'CKR_DEVICE_REMOVED', { times: 1 })
  await rejection(encrypt(client))
  await until(() => module.calls('C_Initialize') > before)
}

test('a token that does not come back has its module initialised again', async () => {
  const client = await open({ breaker })
  await loseToken(client)
  module.clear()
  await breakerCloses(client)
  expect(await encrypt(client)).toHaveLength(32)
})

test('a token that throttles when it is logged in again keeps its module', async () => {
  const client = await open({ breaker })
  await encrypt(client)
  const [initialised, logins] = [module.calls('C_Initialize'), module.calls('C_Login')]
  module.fail('C_Login', 'CKR_FUNCTION_FAILED')
  module.fail('C_EncryptInit', 'CKR_DEVICE_REMOVED', { times: 1 })
  await rejection(encrypt(client))
  await until(() => module.calls('C_Login') - logins > 6)
  module.clear()
  await breakerCloses(client)
  expect(await encrypt(client)).toHaveLength(32)
  expect(module.calls('C_Initialize')).toBe(initialised)
})

test.each([
  ['another part of the process', true],
  ['a client', false],
])(
  'a module that %s had initialised, and that was finalised after a client had left a call inside, is initialised for the next',
  async (_who, byOther) => {
    const other = new pkcs11js.PKCS11()
    other.load(module.module)
    if (byOther) other.C_Initialize()
    const client = await open({ pool: { operationTimeoutMs: 100 } })
    module.hang('C_GenerateRandom', { times: 1 })
    expect(await rejection(client.generateRandom(8))).toMatchObject({ code: 'OPERATION_TIMEOUT' })
    await client.close({ timeoutMs: 100 })
    module.release()
    await until(() => module.running() === 0)
    other.C_Finalize()
    expect(await encrypt(await open())).toHaveLength(32)
  },
)

test('a token that comes back is used again though its module was initialised by another part of the process', async () => {
  const other = new pkcs11js.PKCS11()
  other.load(module.module)
  other.C_Initialize()
  const client = await open({ breaker })
  await loseToken(client)
  module.clear()
  await breakerCloses(client)
  expect(await encrypt(client)).toHaveLength(32)
  expect(client.stats().moduleInitializations).toBe(0)
  await client.close()
  other.C_Finalize()
})

test('a module that another part of the process had initialised, and has finalised since, is initialised for the next client', async () => {
  const other = new pkcs11js.PKCS11()
  other.load(module.module)
  other.C_Initialize()
  await (await open()).close()
  other.C_Finalize()
  expect(await encrypt(await open())).toHaveLength(32)
})

test('a module that could not be initialised again for one client is initialised for the next', async () => {
  const client = await open({ breaker: { failureThreshold: 1, initialBackoffMs: 600_000, maxBackoffMs: 600_000 } })
  await encrypt(client)
  module.fail('C_Initialize', 'CKR_GENERAL_ERROR')
  finalizeBehindOurBack()
  await rejection(encrypt(client))
  module.clear()
  expect(await encrypt(await open())).toHaveLength(32)
})

test('a client that asks for other initializeArgs is refused and does not change what the module is initialised with', async () => {
  const client = await open({ breaker: { ...breaker, failureThreshold: 1 } })
  await encrypt(client)
  // SoftHSM takes none, so its C_Initialize fails with them
  const other = () => open({ initializeArgs: 'x=y' })
  module.fail('C_Initialize', 'CKR_GENERAL_ERROR')
  finalizeBehindOurBack()
  await rejection(encrypt(client))
  await rejection(other())
  module.clear()
  expect(await rejection(other())).toMatchObject({
    code: 'MODULE_LOAD_FAILED',
    message: expect.stringContaining(
      'already initialised in this process, with other initializeArgs or none; give all its clients the same',
    ),
  })
  await breakerCloses(client)
  expect(await encrypt(client)).toHaveLength(32)
})

test('a token that comes back is used again though its module’s C_Finalize fails', async () => {
  const client = await open({ breaker })
  module.fail('C_Finalize', 'CKR_GENERAL_ERROR')
  await loseToken(client)
  module.clear('C_OpenSession')
  await breakerCloses(client)
  expect(await encrypt(client)).toHaveLength(32)
})

test('a module that has to be initialised again and whose C_Finalize fails is told from one with calls inside', async () => {
  const client = await open({ breaker })
  await encrypt(client)
  const opened = nextEvent(client, 'breaker', ({ state }) => state === 'open')
  module.fail('C_Finalize', 'CKR_GENERAL_ERROR')
  for (const name of ['C_EncryptInit', 'C_GetSessionInfo'] as const) module.fail(name, 'CKR_CRYPTOKI_NOT_INITIALIZED')
  await rejection(encrypt(client))
  const message = expect.stringContaining('its C_Finalize fails')
  expect(await opened).toMatchObject({ cause: { code: 'TOKEN_STALLED', category: 'module', message } })
  module.clear()
  await breakerCloses(client)
  expect(await encrypt(client)).toHaveLength(32)
})

test('while a call hangs inside it is not finalised; the breaker says so, and all is well when the call returns', async () => {
  const client = await open({ breaker, pool: { maxSize: 4, operationTimeoutMs: 300 } })
  await many(client)
  module.hang('C_Encrypt', { times: 1 })
  const hung = rejection(encrypt(client))
  expect(await hung).toMatchObject({ code: 'OPERATION_TIMEOUT' })
  const before = module.calls('C_Finalize')
  const opened = nextEvent(client, 'breaker', ({ state }) => state === 'open')
  for (const name of ['C_EncryptInit', 'C_GetSessionInfo', 'C_OpenSession'] as const) {
    module.fail(name, 'CKR_CRYPTOKI_NOT_INITIALIZED')
  }
  await rejection(encrypt(client))
  expect(await opened).toMatchObject({ cause: { code: 'TOKEN_STALLED', category: 'module' } })
  let tries = 0
  client.on('breaker', ({ state }) => {
    if (state === 'half-open') tries += 1
  })
  await until(() => tries > 3)
  expect(module.calls('C_Finalize')).toBe(before)
  expect(client.stats().engine.hung).toBe(1)
  module.clear()
  await breakerCloses(client)
  expect(await encrypt(client)).toHaveLength(32)
})

test('worker threads share the module: each client recovers, and it is initialised once', async () => {
  const client = await open()
  const worker = new Worker(
    `const { parentPort, workerData } = require('node:worker_threads')
    import(workerData.library).then(async ({ createClient }) => {
      const client = await createClient(workerData.options)
      const encrypt = () => client.encrypt({ label: 'k' }, { mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.alloc(16) }, Buffer.alloc(16))
      await encrypt()
      parentPort.once('message', async () => {
        const answers = await Promise.allSettled(Array.from({ length: 8 }, encrypt))
        await client.close()
        parentPort.postMessage(answers.map(({ status, reason }) => reason?.message ?? status))
      })
      parentPort.postMessage('ready')
    })`,
    {
      eval: true,
      workerData: {
        library: new URL('../../dist/index.js', import.meta.url).href,
        options: { module: module.module, token: { label: token.label }, pin: { file: token.pinFile } },
      },
    },
  )
  const said = () => new Promise((resolve) => worker.once('message', resolve))
  expect(await said()).toBe('ready')
  const before = module.calls('C_Initialize')
  finalizeBehindOurBack()
  const answers = said()
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a message port, not a window
  worker.postMessage('go on')
  expect(await many(client)).toHaveLength(16)
  expect(await answers).toEqual(Array.from({ length: 8 }, () => 'fulfilled'))
  expect(module.calls('C_Initialize') - before).toBe(1)
  await worker.terminate()
})
