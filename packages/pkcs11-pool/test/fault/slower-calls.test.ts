import { createWrappedModule } from 'testkit'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, expect, test } from 'vitest'
import { createClient } from '../../src/index.js'

const SESSIONS = 32
const token = useSoftHsmToken({ keys: [{ label: 'k' }] })
const wrapped = createWrappedModule(token)
afterAll(() => wrapped.remove())

test('a token whose calls become long while callers queue for it gets more threads than short calls have', async () => {
  const client = await createClient({
    module: wrapped.module,
    token: { label: token.label },
    pin: { file: token.pinFile },
    pool: { maxSize: SESSIONS },
  })
  const iv = Buffer.alloc(16)
  let most = 0
  const state = { left: 0 }
  const call = async () => {
    while (state.left > 0) {
      state.left -= 1
      await client.encrypt({ label: 'k' }, { mechanism: 'CKM_AES_CBC_PAD', iv }, iv)
      most = Math.max(most, wrapped.running())
    }
  }
  const run = async (operations: number) => {
    state.left = operations
    await Promise.all(Array.from({ length: SESSIONS }, call))
  }
  try {
    await run(4_000)
    let slow = false
    const callers = run(4_000)
    const slowing = (async () => {
      while (state.left > 3_000) await client.generateRandom(1)
      wrapped.delay('C_Encrypt', 1_000)
      most = 0
      slow = true
    })()
    await Promise.all([callers, slowing])
    expect(slow).toBe(true)
    expect(most).toBeGreaterThan(SESSIONS / 4)
  } finally {
    await client.close()
  }
})
