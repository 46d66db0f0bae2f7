import { expect, test } from 'vitest'
import type { PinSource } from '../../src/index.js'
import { rejection } from '../support/rejection.js'
import { useWrappedToken } from '../support/wrapped-token.js'

const { token, module, open } = useWrappedToken([{ label: 'k' }])
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.alloc(16) } as const
const encrypt = (client: Awaited<ReturnType<typeof open>>) => client.encrypt({ label: 'k' }, cbc, Buffer.alloc(16))
const right: PinSource = { value: token.pin }
const wrong: PinSource = { value: `${token.pin}x` }

test('a client whose PIN was rejected works again once it is given the right one', async () => {
  const client = await open({ pin: wrong, connect: 'lazy' })
  expect(await rejection(encrypt(client))).toMatchObject({ code: 'CREDENTIALS_REJECTED' })
  expect(client.health().state).toBe('locked')
  const before = module.calls('C_Login')
  await client.setCredentials({ pin: right })
  expect(module.calls('C_Login') - before).toBe(1)
  expect(await encrypt(client)).toHaveLength(32)
  expect(client.health().state).toBe('ok')
})

test('a PIN that the token has called wrong is not sent again, however it is given', async () => {
  const client = await open({ pin: wrong, connect: 'lazy' })
  await rejection(encrypt(client))
  const before = module.calls('C_Login')
  for (const pin of [wrong, { value: Buffer.from(`${token.pin}x`) }]) {
    const error = await rejection(client.setCredentials({ pin }))
    expect(error).toMatchObject({ code: 'CREDENTIALS_REJECTED', message: expect.stringContaining('not sent') })
  }
  expect(await rejection(encrypt(client))).toMatchObject({ code: 'CREDENTIALS_REJECTED' })
  expect(module.calls('C_Login')).toBe(before)
})

test('each wrong PIN in a row is sent once', async () => {
  const client = await open({ pin: wrong, connect: 'lazy' })
  await rejection(encrypt(client))
  const before = module.calls('C_Login')
  expect(await rejection(client.setCredentials({ pin: { value: 'another' } }))).toMatchObject({
    code: 'CREDENTIALS_REJECTED',
    rvName: 'CKR_PIN_INCORRECT',
  })
  await Promise.all(Array.from({ length: 8 }, () => rejection(encrypt(client))))
  expect(module.calls('C_Login') - before).toBe(1)
  await client.setCredentials({ pin: right })
  expect(await encrypt(client)).toHaveLength(32)
})

test('who is logged in stays so under a new PIN, which is sent at the next login', async () => {
  const client = await open({ pin: right })
  await encrypt(client)
  const before = module.calls('C_Login')
  await client.setCredentials({ pin: { value: 'another' } })
  expect(await encrypt(client)).toHaveLength(32)
  expect(module.calls('C_Login')).toBe(before)
  module.fail('C_EncryptInit', 'CKR_USER_NOT_LOGGED_IN', { times: 1 })
  module.fail('C_Login', 'CKR_PIN_INCORRECT', { times: 1 })
  expect(await rejection(encrypt(client))).toMatchObject({ code: 'CREDENTIALS_REJECTED' })
  expect(module.calls('C_Login') - before).toBe(1)
})

test('a new PIN while a login with the old one is under way takes its turn behind it', async () => {
  const client = await open({ pin: wrong, connect: 'lazy' })
  const before = module.calls('C_Login')
  module.hang('C_Login', { times: 1 })
  const first = rejection(encrypt(client))
  while (module.hanging() === 0) await new Promise(setImmediate)
  const renewed = client.setCredentials({ pin: right })
  module.release()
  expect(await first).toMatchObject({ code: 'CREDENTIALS_REJECTED' })
  await renewed
  expect(await encrypt(client)).toHaveLength(32)
  expect(module.calls('C_Login') - before).toBe(2)
})

test('what is not a PIN is refused without a word of it', async () => {
  const client = await open({ pin: right })
  for (const given of ['1234secret', { pin: '1234secret' }, { pin: { value: '' } }, null]) {
    const error = await rejection(client.setCredentials(given as { pin: PinSource }))
    expect(error).toMatchObject({ code: expect.stringMatching(/INVALID_OPTION|PIN_UNAVAILABLE/) })
    expect(String((error as Error).stack)).not.toContain('1234secret')
  }
  expect(await rejection(client.setCredentials({ pin: { file: '/nonexistent' } }))).toMatchObject({
    code: 'PIN_UNAVAILABLE',
  })
  expect(await encrypt(client)).toHaveLength(32)
  await client.close()
  expect(await rejection(client.setCredentials({ pin: right }))).toMatchObject({ code: 'POOL_CLOSED' })
})

test('a PIN that was rejected before the last one is not sent again either', async () => {
  const client = await open({ pin: wrong, connect: 'lazy' })
  await rejection(encrypt(client))
  await rejection(client.setCredentials({ pin: { value: 'another' } }))
  const before = module.calls('C_Login')
  for (const pin of [wrong, { value: 'another' }, wrong]) {
    expect(await rejection(client.setCredentials({ pin }))).toMatchObject({
      code: 'CREDENTIALS_REJECTED',
      message: expect.stringContaining('not sent'),
    })
  }
  expect(module.calls('C_Login')).toBe(before)
  await client.setCredentials({ pin: right })
  expect(await rejection(client.setCredentials({ pin: wrong }))).toMatchObject({ code: 'CREDENTIALS_REJECTED' })
  expect(await encrypt(client)).toHaveLength(32)
})

test('beside a login that is not answered no PIN is sent, and the one that it rejects late is known to be wrong', async () => {
  const client = await open({ pin: wrong, connect: 'lazy', pool: { createTimeoutMs: 500 } })
  const before = module.calls('C_Login')
  module.hang('C_Login', { times: 1 })
  await rejection(encrypt(client))
  while (client.stats().engine.hung === 0) await new Promise(setImmediate)
  for (const pin of [wrong, right, wrong, right]) {
    expect(await rejection(client.setCredentials({ pin }))).toMatchObject({ code: 'OPERATION_TIMEOUT' })
  }
  expect(module.calls('C_Login') - before).toBe(1)
  module.release()
  while (client.stats().engine.hung > 0) await new Promise(setImmediate)
  expect(await rejection(client.setCredentials({ pin: wrong }))).toMatchObject({ code: 'CREDENTIALS_REJECTED' })
  expect(await encrypt(client)).toHaveLength(32)
  expect(module.calls('C_Login') - before).toBe(2)
})
