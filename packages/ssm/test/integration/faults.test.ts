import { createWrappedModule, type WrappedModule } from 'testkit'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { breakerCloses, SOON } from '../breaker.js'
import { expectProblem, type Harness, startHarness } from '../harness.js'

const token = useSoftHsmToken({ keys: [{ label: 'KEY_ENCRYPTION_AES256' }] })
const request = { key_label: 'KEY_ENCRYPTION_AES256', plain: 'c0ffee', encryption_algorithm: 5 }
let wrapped: WrappedModule
let harness: Harness

beforeAll(async () => {
  wrapped = createWrappedModule(token)
  harness = await startHarness(
    { ...token, module: wrapped.module },
    {},
    // a second is far above what a good answer takes and what a hanging call costs this file
    { pool: { maxSize: 2, minSize: 1, acquireTimeoutMs: 1_000, operationTimeoutMs: 1_000 }, breaker: SOON },
  )
})
afterEach(() => wrapped.clear())
afterAll(async () => {
  await harness.close()
  wrapped.remove()
})

describe('a token that misbehaves', () => {
  it('and has every session at work is POOL_EXHAUSTED, with when to try again', async () => {
    const sessions = [await harness.client.acquire(), await harness.client.acquire()]
    const answer = await harness.post('/encrypt-pool', request)
    for (const session of sessions) session.release()
    expectProblem(answer, 503, 'POOL_EXHAUSTED', '/encrypt-pool')
    expect(answer.body.detail).toMatch(/^timeout waiting for available connection/)
    expect(answer.headers['retry-after']).toBe('1')
    expect((await harness.post('/encrypt-pool', request)).status).toBe(201)
  })

  it('and does not return is HSM_TIMEOUT, while the service goes on answering', async () => {
    wrapped.hang('C_Encrypt', { times: 1 })
    const stuck = harness.post('/crypto/encrypt', request)
    expect((await harness.get('/crypto/health-check')).status).toBe(200)
    expectProblem(await stuck, 504, 'HSM_TIMEOUT', '/crypto/encrypt')
    wrapped.release()
    expect((await harness.post('/crypto/encrypt', request)).status).toBe(201)
  })

  it('and fails is ENCRYPTION_ERROR, told to the operator with its cause and to the client without', async () => {
    harness.failures.length = 0
    wrapped.fail('C_Encrypt', 'CKR_GENERAL_ERROR')
    const answer = await harness.post('/crypto/encrypt', request)
    expectProblem(answer, 500, 'ENCRYPTION_ERROR', '/crypto/encrypt')
    expect(answer.text).not.toContain('CKR_')
    expect(harness.failures).toMatchObject([
      { code: 'ENCRYPTION_ERROR', cause: { rvName: 'CKR_GENERAL_ERROR', fn: 'C_Encrypt' } },
    ])
  })

  it('and is removed is HSM_UNAVAILABLE, and the service is not ready until it is back', async () => {
    wrapped.fail('C_EncryptInit', 'CKR_DEVICE_REMOVED')
    const answer = await harness.post('/crypto/encrypt', request)
    expectProblem(answer, 503, 'HSM_UNAVAILABLE', '/crypto/encrypt')
    expect(answer.headers['retry-after']).toBe('1')
    wrapped.clear()
    await breakerCloses(harness.client)
    expect((await harness.post('/crypto/encrypt', request)).status).toBe(201)
  })

  it('and gives no session is HSM_UNAVAILABLE the old way too', async () => {
    wrapped.fail('C_OpenSession', 'CKR_DEVICE_ERROR')
    expectProblem(await harness.post('/encrypt', request), 503, 'HSM_UNAVAILABLE', '/encrypt')
  })

  it('and does not know the mechanism is UNSUPPORTED_ALGORITHM', async () => {
    wrapped.fail('C_EncryptInit', 'CKR_MECHANISM_INVALID')
    expectProblem(await harness.post('/crypto/encrypt', request), 400, 'UNSUPPORTED_ALGORITHM', '/crypto/encrypt')
  })

  it('and makes no key is KEY_GENERATION_ERROR, and the next attempt is not held up', async () => {
    wrapped.fail('C_GenerateKey', 'CKR_ATTRIBUTE_VALUE_INVALID', { times: 1 })
    const answers = await Promise.all([70, 71].map((id) => harness.post('/crypto/generate-aes-key', { id, bits: 256 })))
    expect(answers.map(({ status }) => status)).toEqual([500, 201])
    expect(answers[0]?.body.error).toBe('KEY_GENERATION_ERROR')
  })
})
