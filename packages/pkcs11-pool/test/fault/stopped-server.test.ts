import { createP11KitToken, createSoftHsmToken } from 'testkit'
import { useToken } from 'testkit/vitest'
import { expect, test } from 'vitest'
import { createClient, Pkcs11PoolError } from '../../src/index.js'
import { breakerCloses, nextEvent } from '../support/next-event.js'

const token = await useToken(() => createP11KitToken(createSoftHsmToken({ keys: [{ label: 'k', type: 'rsa-2048' }] })))

test.skipIf(token === undefined)(
  'while the process behind a token is stopped every call ends by its time and the breaker opens; when it goes on, so does the client',
  async () => {
    if (token?.server === undefined) throw new Error('it has a server')
    const { module, label, pin, server } = token
    const client = await createClient({
      module,
      token: { label },
      pin: { value: pin },
      pool: { maxSize: 4, operationTimeoutMs: 300, createTimeoutMs: 1_000 },
      breaker: { failureThreshold: 3, initialBackoffMs: 5, maxBackoffMs: 20 },
      health: { probeTimeoutMs: 200 },
    })
    const sign = () => client.sign({ label: 'k', class: 'CKO_PRIVATE_KEY' }, 'CKM_RSA_PKCS', Buffer.alloc(20))
    const [signature] = await Promise.all(Array.from({ length: 4 }, sign))
    const opened = nextEvent(client, 'breaker', ({ state }) => state === 'open')
    server.stop()
    while (client.health().breaker.state === 'closed') {
      const outcomes = await Promise.allSettled(Array.from({ length: 4 }, sign))
      for (const outcome of outcomes) {
        if (outcome.status === 'fulfilled') expect(outcome.value).toEqual(signature)
        else expect(outcome.reason).toBeInstanceOf(Pkcs11PoolError)
      }
    }
    expect(await opened).toMatchObject({ cause: { code: 'OPERATION_TIMEOUT' } })
    server.cont()
    await breakerCloses(client)
    expect(await sign()).toEqual(signature)
    await client.close()
  },
)
