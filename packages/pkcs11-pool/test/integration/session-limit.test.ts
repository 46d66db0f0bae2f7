import { expect, test } from 'vitest'
import { useWrappedToken } from '../support/wrapped-token.js'

const { module, open } = useWrappedToken([{ label: 'k' }])
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.alloc(16) } as const
const key = { label: 'k' }

test('a token’s own limit bounds the pool before anything is refused, and every call is served', async () => {
  module.limitSessions(5)
  const client = await open({ pool: { maxSize: 8, minSize: 0 } })
  expect(client.stats()).toMatchObject({ maxSize: 8, effectiveMaxSize: 4, tokenSessions: { max: 5, elsewhere: 0 } })
  const answers = await Promise.all(Array.from({ length: 40 }, () => client.encrypt(key, cbc, Buffer.alloc(1))))
  expect(answers).toHaveLength(40)
  expect(client.stats()).toMatchObject({ currentSize: 4, createFailures: 0, acquireTimeouts: 0 })
  expect(module.openSessions()).toBe(5)
  expect(client.metrics()).toContain('pkcs11_pool_token_sessions_max{token="test"} 5\n')
  client.resize({ maxSize: 6 })
  expect(client.stats()).toMatchObject({ maxSize: 6, effectiveMaxSize: 4 })
})

test('what others have open is left to them', async () => {
  module.limitSessions(8)
  const other = await open({ pool: { minSize: 3, maxSize: 3 } })
  await Promise.all(Array.from({ length: 3 }, () => other.encrypt(key, cbc, Buffer.alloc(1))))
  const client = await open({ pool: { minSize: 0, maxSize: 8 } })
  expect(client.stats()).toMatchObject({ effectiveMaxSize: 3, tokenSessions: { max: 8, elsewhere: 4 } })
  await Promise.all(Array.from({ length: 30 }, () => client.encrypt(key, cbc, Buffer.alloc(1))))
  expect(client.stats()).toMatchObject({ currentSize: 3, createFailures: 0 })
  expect(module.openSessions()).toBe(8)
})

test('a lazy client knows the limit before it opens anything', async () => {
  module.limitSessions(4)
  const client = await open({ connect: 'lazy', pool: { maxSize: 8 } })
  expect(module.openSessions()).toBe(0)
  expect(client.stats()).toMatchObject({ effectiveMaxSize: 3, tokenSessions: { max: 4, elsewhere: 0 } })
  await Promise.all(Array.from({ length: 20 }, () => client.encrypt(key, cbc, Buffer.alloc(1))))
  expect(client.stats()).toMatchObject({ currentSize: 3, effectiveMaxSize: 3, createFailures: 0 })
})

test('more sessions than the token has are not held ready, and what it has is used', async () => {
  module.limitSessions(4)
  const client = await open({ pool: { maxSize: 8, minSize: 8 } })
  await Promise.all(Array.from({ length: 20 }, () => client.encrypt(key, cbc, Buffer.alloc(1))))
  expect(client.stats()).toMatchObject({ currentSize: 3, effectiveMaxSize: 3, acquireTimeouts: 0 })
})

test('a token without a limit says so', async () => {
  const client = await open({ pool: { maxSize: 8 } })
  expect(client.stats()).toMatchObject({ effectiveMaxSize: 8, tokenSessions: { max: Infinity } })
  expect(client.metrics()).not.toContain('token_sessions_max')
})
