import { expect, test } from 'vitest'
import { rejection } from '../support/rejection.js'
import { useWrappedToken } from '../support/wrapped-token.js'

const { module, open } = useWrappedToken([{ label: 'k' }])
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.alloc(16) } as const

test('a handle that the module gives out twice is used by one session only', async () => {
  const client = await open({ pool: { maxSize: 3, minSize: 0 } })
  await using one = await client.acquire()
  module.repeatHandles(3)
  await using other = await client.acquire()
  // three that were not one's own, and one that was; the anchor and the first were there before
  expect(module.calls('C_OpenSession')).toBe(6)
  const key = await one.findKey({ label: 'k' })
  const texts = Array.from({ length: 40 }, (_, number) => Buffer.from(`text ${number}`))
  const encrypted = await Promise.all(
    texts.map((text, index) => (index % 2 === 0 ? one : other).encrypt(key, cbc, text)),
  )
  expect(await Promise.all(encrypted.map((each) => client.decrypt({ label: 'k' }, cbc, each)))).toEqual(texts)
})

test('the session whose handle it is lives on, and none is left open', async () => {
  const client = await open({ pool: { maxSize: 4, minSize: 0 } })
  await client.encrypt({ label: 'k' }, cbc, Buffer.alloc(5))
  module.repeatHandles(Number.MAX_SAFE_INTEGER)
  const session = await client.acquire()
  const refused = await rejection(client.acquire({ timeoutMs: 1_000 }))
  expect(refused).toMatchObject({ code: 'CREATE_FAILED', cause: { rvName: 'CKR_GENERAL_ERROR', fn: 'C_OpenSession' } })
  expect(await session.generateRandom(4)).toHaveLength(4)
  session.release()
  module.clear()
  await client.close()
  expect(module.openSessions()).toBe(0)
})

test('a handle is free again when its session was closed', async () => {
  const client = await open({ pool: { maxSize: 1, minSize: 0 } })
  for (let round = 0; round < 70; round += 1) {
    await client.generateRandom(4)
    client.reset()
  }
  expect(await client.generateRandom(4)).toHaveLength(4)
})
