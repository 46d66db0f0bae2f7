import { Pkcs11PoolError } from 'pkcs11-pool'
import { beforeEach, describe, expect, it } from 'vitest'
import { Readiness } from '../../src/hsm/readiness.js'

let now: number
let probes: number
let failure: Error | undefined
let readiness: Readiness

beforeEach(() => {
  now = 0
  probes = 0
  failure = undefined
  readiness = new Readiness(
    {
      probe: async () => {
        probes++
        if (failure !== undefined) throw failure
      },
    },
    () => now,
  )
})

describe('readiness', () => {
  it('believes an answer of the token for a second', async () => {
    await readiness.check()
    now = 999
    await readiness.check()
    expect(probes).toBe(1)
    now = 1_000
    await readiness.check()
    expect(probes).toBe(2)
  })

  it('shares one question among those who ask at the same time', async () => {
    await Promise.all([readiness.check(), readiness.check(), readiness.check()])
    expect(probes).toBe(1)
  })

  it('is gone while the token fails, and back with its first answer', async () => {
    failure = new Pkcs11PoolError('CREATE_FAILED', 'away')
    await expect(readiness.check()).rejects.toBe(failure)
    failure = undefined
    await readiness.check()
  })

  it('is not lost to a queue that is full of work', async () => {
    failure = new Pkcs11PoolError('QUEUE_FULL', 'busy')
    await readiness.check()
  })

  it('ends when the service stops, whatever the token answered before', async () => {
    await readiness.check()
    readiness.stop()
    await expect(readiness.check()).rejects.toMatchObject({
      code: 'HSM_UNAVAILABLE',
      message: 'the service is stopping',
    })
    expect(readiness.stopping).toBe(true)
  })
})
