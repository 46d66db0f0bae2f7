import { createHash } from 'node:crypto'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { breakerCloses } from '../support/next-event.js'
import { rejection } from '../support/rejection.js'
import { useWrappedToken } from '../support/wrapped-token.js'

const { token, module, open } = useWrappedToken([{ label: 'k' }])
const P256 = Buffer.from('06082a8648ce3d030107', 'hex')
const hash = createHash('sha256').update('data').digest()
const reference = { label: 'each use' }

beforeAll(async () => {
  const client = await open({ pin: { value: token.pin } })
  const common = { CKA_LABEL: 'each use', CKA_TOKEN: true } as const
  await client.keys.generatePair(
    'CKM_EC_KEY_PAIR_GEN',
    { ...common, CKA_EC_PARAMS: P256, CKA_VERIFY: true },
    { ...common, CKA_PRIVATE: true, CKA_SENSITIVE: true, CKA_SIGN: true, CKA_ALWAYS_AUTHENTICATE: true },
  )
  await client.keys.generatePair(
    'CKM_RSA_PKCS_KEY_PAIR_GEN',
    {
      ...common,
      CKA_LABEL: 'each rsa',
      CKA_MODULUS_BITS: 2048,
      CKA_PUBLIC_EXPONENT: Buffer.from([1, 0, 1]),
      CKA_ENCRYPT: true,
    },
    {
      ...common,
      CKA_LABEL: 'each rsa',
      CKA_PRIVATE: true,
      CKA_SENSITIVE: true,
      CKA_DECRYPT: true,
      CKA_ALWAYS_AUTHENTICATE: true,
    },
  )
  await client.close()
})
beforeEach(() => module.clear())

test('a key that wants the PIN for each use gets it for each use', async () => {
  const client = await open({ pin: { value: token.pin } })
  const before = module.calls('C_Login')
  const signatures = await Promise.all(Array.from({ length: 8 }, () => client.sign(reference, 'CKM_ECDSA', hash)))
  for (const signature of signatures) expect(await client.verify(reference, 'CKM_ECDSA', hash, signature)).toBe(true)
  expect(module.calls('C_Login') - before).toBe(8)

  const cipher = await client.encrypt({ label: 'each rsa' }, 'CKM_RSA_PKCS', Buffer.from('plain'))
  expect(await client.decrypt({ label: 'each rsa' }, 'CKM_RSA_PKCS', cipher)).toEqual(Buffer.from('plain'))
})

test('on a session, the key that findKey answers gets it too', async () => {
  const client = await open({ pin: { value: token.pin } })
  await client.withSession(async (session) => {
    const key = await session.findKey({ ...reference, class: 'CKO_PRIVATE_KEY' })
    expect(key.alwaysAuthenticate).toBe(true)
    expect(await session.sign(key, 'CKM_ECDSA', hash)).toHaveLength(64)
    expect(await session.sign(key, 'CKM_ECDSA', hash)).toHaveLength(64)
  })
})

test('on a session, a key that is known by its handle alone gets it too', async () => {
  const found = await open({ pin: { value: token.pin } })
  const handles = await found.withSession((session) =>
    session.findObjects({ CKA_LABEL: 'each use', CKA_CLASS: 'CKO_PRIVATE_KEY' }),
  )
  expect(handles).toHaveLength(1)
  const [handle = 0] = handles
  await found.withSession(async (session) => {
    const logins = module.calls('C_Login')
    expect(await session.sign(handle, 'CKM_ECDSA', hash)).toHaveLength(64)
    expect(module.calls('C_Login') - logins).toBe(1)
  })
})

test('other keys get none', async () => {
  const client = await open({ pin: { value: token.pin } })
  const iv = Buffer.alloc(16)
  const before = module.calls('C_Login')
  await client.encrypt({ label: 'k' }, { mechanism: 'CKM_AES_CBC_PAD', iv }, iv)
  await client.verify(reference, 'CKM_ECDSA', hash, Buffer.alloc(64))
  expect(module.calls('C_Login')).toBe(before)
})

test('a PIN that is rejected for one use is sent once, however many uses wait, and none of them leaves an operation active', async () => {
  const client = await open({ pin: { value: token.pin }, pool: { maxSize: 4 } })
  await client.sign(reference, 'CKM_ECDSA', hash)
  const before = module.calls('C_Login')
  module.fail('C_Login', 'CKR_PIN_INCORRECT')
  const uses = await Promise.all(Array.from({ length: 8 }, () => rejection(client.sign(reference, 'CKM_ECDSA', hash))))
  for (const error of uses) expect(error).toMatchObject({ code: 'CREDENTIALS_REJECTED' })
  expect(module.calls('C_Login') - before).toBe(1)
  expect(client.health().state).toBe('locked')
  await client.close()
})

test('a use that hangs ends at its deadline, and no other use sends the PIN beside it', async () => {
  const client = await open({ pin: { value: token.pin } })
  await client.sign(reference, 'CKM_ECDSA', hash)
  const before = module.calls('C_Login')
  module.hang('C_Login', { times: 1 })
  const first = rejection(client.sign(reference, 'CKM_ECDSA', hash, { timeoutMs: 1_000 }))
  while (module.hanging() === 0) await new Promise(setImmediate)
  // One that gives up while it waits for its turn, and one whose turn comes.
  const impatient = await rejection(client.sign(reference, 'CKM_ECDSA', hash, { timeoutMs: 10 }))
  expect(impatient).toMatchObject({ code: 'OPERATION_TIMEOUT', category: 'overload' })
  const next = rejection(client.sign(reference, 'CKM_ECDSA', hash))
  expect(await first).toMatchObject({ code: 'OPERATION_TIMEOUT', category: 'token' })
  expect(await next).toMatchObject({ code: 'OPERATION_TIMEOUT' })
  expect(module.calls('C_Login') - before).toBe(1)
  module.release()
  let signature: Buffer | undefined
  while (signature === undefined) {
    await new Promise(setImmediate)
    signature = await client.sign(reference, 'CKM_ECDSA', hash).catch(() => undefined)
  }
  expect(await client.verify(reference, 'CKM_ECDSA', hash, signature)).toBe(true)
})

test('a batch says that it cannot use such a key', async () => {
  const client = await open({ pin: { value: token.pin } })
  const [result] = await client.batch([{ op: 'sign', key: reference, mechanism: 'CKM_ECDSA', data: hash }])
  expect(result).toMatchObject({ status: 'rejected', reason: { code: 'INVALID_ARGUMENT' } })
})

test('a use that failed because the token was gone is not one that hangs: the PIN is sent again when the token is back', async () => {
  const client = await open({ pin: { value: token.pin }, breaker: { initialBackoffMs: 2, maxBackoffMs: 5 } })
  await client.sign(reference, 'CKM_ECDSA', hash)
  module.fail('C_Login', 'CKR_DEVICE_REMOVED', { times: 1 })
  expect(await rejection(client.sign(reference, 'CKM_ECDSA', hash))).toMatchObject({ rvName: 'CKR_DEVICE_REMOVED' })
  await breakerCloses(client)
  expect(await client.sign(reference, 'CKM_ECDSA', hash)).toHaveLength(64)
})
