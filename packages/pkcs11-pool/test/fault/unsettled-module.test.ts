import { expect, test } from 'vitest'
import { Pkcs11PoolError } from '../../src/index.js'
import { rejection } from '../support/rejection.js'
import { useWrappedToken } from '../support/wrapped-token.js'

const { module, open } = useWrappedToken([{ label: 'k' }])
const encrypt = (client: Awaited<ReturnType<typeof open>>) =>
  client.encrypt({ label: 'k' }, { mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.alloc(16) }, Buffer.alloc(8))

test('who opens a module whose C_Finalize does not return is told so, and can use it once it has', async () => {
  const client = await open()
  module.hang('C_Finalize', { times: 1 })
  await client.close({ timeoutMs: 100 })
  for (let tries = 0; tries < 2; tries += 1) {
    expect(await rejection(open({ pool: { createTimeoutMs: 300 } }))).toMatchObject({
      code: 'TOKEN_STALLED',
      category: 'module',
      message: expect.stringContaining('C_Finalize'),
    })
  }
  const waits = open()
  module.release()
  expect(await encrypt(await waits)).toHaveLength(16)
})

test('who opens a module whose C_Initialize does not return is told so too', async () => {
  module.hang('C_Initialize', { times: 1 })
  const first = rejection(open({ pool: { createTimeoutMs: 1_000 } }))
  while (module.hanging() === 0) await new Promise(setImmediate)
  const error = await rejection(open({ pool: { createTimeoutMs: 300 } }))
  expect(error).toMatchObject({ code: 'TOKEN_STALLED' })
  expect(error).toBeInstanceOf(Pkcs11PoolError)
  expect(await first).toMatchObject({ code: 'OPERATION_TIMEOUT' })
  module.release()
  expect(await encrypt(await open())).toHaveLength(16)
})
