import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { inspectModule } from '../../src/index.js'
import { rejection } from '../support/rejection.js'
import { useWrappedToken } from '../support/wrapped-token.js'

const { token, module, open } = useWrappedToken()

test('a module is described with its slots, tokens and mechanisms, and nobody logs in', async () => {
  const { cryptokiVersion, slots } = await inspectModule(module.module)
  expect(cryptokiVersion).toMatch(/^\d+\.\d+$/)
  const slot = slots.find((each) => each.token?.label === token.label)
  expect(slot?.token?.flags).toEqual(expect.arrayContaining(['CKF_TOKEN_INITIALIZED', 'CKF_USER_PIN_INITIALIZED']))
  expect(slot?.mechanisms.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['CKM_AES_CBC_PAD', 'CKM_RSA_PKCS', 'CKM_ECDSA']),
  )
  // SoftHSM shows a slot for the next token.
  expect(slots.some((each) => each.token?.flags.includes('CKF_TOKEN_INITIALIZED') === false)).toBe(true)
  expect([module.calls('C_Login'), module.calls('C_OpenSession')]).toEqual([0, 0])
})

test('a client of the same module works on', async () => {
  const client = await open()
  await inspectModule(module.module)
  expect(await client.generateRandom(4)).toHaveLength(4)
  await client.close()
  expect(module.openSessions()).toBe(0)
})

test('what is no module, and what is no option, is named', async () => {
  const file = fileURLToPath(import.meta.url)
  expect(await rejection(inspectModule(file))).toMatchObject({
    code: 'MODULE_LOAD_FAILED',
    message: expect.stringContaining(file),
  })
  expect(await rejection(inspectModule(7 as never))).toMatchObject({ code: 'INVALID_ARGUMENT' })
  expect(await rejection(inspectModule(module.module, null as never))).toMatchObject({ code: 'INVALID_ARGUMENT' })
  expect(await rejection(inspectModule(module.module, { timeout: 5 } as never))).toMatchObject({
    code: 'INVALID_ARGUMENT',
    message: expect.stringContaining('timeoutMs'),
  })
})

test('a module that hangs is given up after timeoutMs', async () => {
  module.hang('C_GetTokenInfo')
  expect(await rejection(inspectModule(module.module, { timeoutMs: 50 }))).toMatchObject({ code: 'OPERATION_TIMEOUT' })
  module.clear()
  while (module.running() > 0) await new Promise(setImmediate)
})
