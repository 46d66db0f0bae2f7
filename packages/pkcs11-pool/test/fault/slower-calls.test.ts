import { createWrappedModule } from 'testkit'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, test } from 'vitest'
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
  const seen = { calls: 0, most: 0, slow: false }
  const keepCalling = async (until: () => boolean) => {
    while (!until()) {
      await client.encrypt({ label: 'k' }, { mechanism: 'CKM_AES_CBC_PAD', iv }, iv)
      seen.calls += 1
      seen.most = Math.max(seen.most, wrapped.running())
    }
  }
  const callers = (until: () => boolean) => Promise.all(Array.from({ length: SESSIONS }, () => keepCalling(until)))
  try {
    await callers(() => seen.calls >= 4_000)
    const slowing = (async () => {
      while (seen.calls < 5_000) await client.generateRandom(1)
      wrapped.delay('C_Encrypt', 1_000)
      seen.most = 0
      seen.slow = true
    })()
    // However long it takes to notice on a busy machine.
    await Promise.all([callers(() => seen.slow && seen.most > SESSIONS / 4), slowing])
  } finally {
    await client.close()
  }
})
