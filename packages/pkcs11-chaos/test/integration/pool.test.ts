import { createClient } from 'pkcs11-pool'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, expect, test } from 'vitest'
import { createChaos } from '../../src/index.js'

const token = useSoftHsmToken({ keys: [{ label: 'k' }] })
const chaos = createChaos({ module: token.module })
const mechanism = { mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.alloc(16) } as const
const open = () =>
  createClient({
    module: chaos.modulePath,
    token: { serial: token.serial },
    pin: { value: token.pin },
    pool: { maxSize: 4, minSize: 1 },
  })

afterAll(chaos.close)

test('a pool in the controller’s own process is held up, let go, and found to use PKCS#11 rightly', async () => {
  const client = await open()
  const encrypt = (options?: { timeoutMs: number }) =>
    client.encrypt({ label: 'k' }, mechanism, Buffer.from('plain'), options)
  const cipher = await encrypt()
  await chaos.rules.add({ on: 'C_Encrypt', hang: true })
  const calls = [1, 2, 3].map(() => encrypt({ timeoutMs: 2_000 }))
  const outcomes = Promise.allSettled(calls)
  await chaos.waitFor(({ hanging }) => hanging === 3)
  expect(await outcomes).toMatchObject(
    Array.from(calls, () => ({ status: 'rejected', reason: { code: 'OPERATION_TIMEOUT' } })),
  )
  await chaos.rules.clear()
  expect(await encrypt()).toEqual(cipher)
  await client.close()
  const counters = await chaos.waitFor(({ sessions, inFlight }) => sessions.open === 0 && inFlight === 0)
  expect(counters.logins).toEqual({ accepted: 1, already: 0, rejected: 0, failed: 0 })
  expect(await chaos.misuse()).toEqual([])
})
