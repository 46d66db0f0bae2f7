import { writeFileSync } from 'node:fs'
import { createWrappedModule, type WrappedModule } from 'testkit'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, afterEach, beforeAll, expect, it, onTestFinished } from 'vitest'
import { breakerCloses, SOON } from '../breaker.js'
import { expectProblem, startHarness } from '../harness.js'

// a file, and so a process, of its own: where another client has logged in, a PIN is not looked at any more
const token = useSoftHsmToken({ keys: [{ label: 'KEY_ENCRYPTION_AES256' }] })
const request = { key_label: 'KEY_ENCRYPTION_AES256', plain: 'c0ffee', encryption_algorithm: 5 }
let wrapped: WrappedModule

beforeAll(() => {
  wrapped = createWrappedModule(token)
})
afterEach(() => wrapped.clear())
afterAll(() => wrapped.remove())

it('a token that is away leaves the service alive and not ready, until it is back', async () => {
  const away = await startHarness(
    { ...token, module: wrapped.module },
    {},
    { connect: 'lazy', pool: { maxSize: 1 }, breaker: SOON },
  )
  onTestFinished(() => away.close())
  wrapped.fail('C_OpenSession', 'CKR_TOKEN_NOT_PRESENT')
  expect((await away.get('/healthz')).status).toBe(200)
  const answer = await away.get('/readyz')
  expectProblem(answer, 503, 'HSM_UNAVAILABLE', '/readyz')
  expect(answer.body.detail).toMatch(/^the HSM has failed/)
  expectProblem(await away.get('/readyz'), 503, 'HSM_UNAVAILABLE', '/readyz')
  wrapped.clear()
  await breakerCloses(away.client)
  expect((await away.get('/readyz')).status).toBe(200)
})

it('a token that rejects the PIN is CREDENTIALS_REJECTED after one attempt, the only one', async () => {
  const pinFile = `${token.pinFile}.wrong`
  writeFileSync(pinFile, 'not the PIN', { mode: 0o600 })
  const locked = await startHarness({ ...token, module: wrapped.module, pinFile }, {}, { connect: 'lazy' })
  onTestFinished(() => locked.close())
  const before = wrapped.calls('C_Login')
  for (const path of ['/crypto/encrypt', '/encrypt-pool', '/encrypt']) {
    const answer = await locked.post(path, request)
    expectProblem(answer, 503, 'CREDENTIALS_REJECTED', path)
    expect(answer.text).not.toContain('not the PIN')
    expect(answer.headers['retry-after']).toBe('60')
  }
  expectProblem(await locked.get('/readyz'), 503, 'CREDENTIALS_REJECTED', '/readyz')
  expect(wrapped.calls('C_Login') - before).toBe(1)
})
