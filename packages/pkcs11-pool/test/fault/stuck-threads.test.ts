import { createWrappedModule } from 'testkit'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, expect, test } from 'vitest'
import { type Client, createClient } from '../../src/index.js'
import { until } from '../support/engine-on-token.js'

const SESSIONS = 8
const token = useSoftHsmToken({ keys: [{ label: 'k' }] })
const wrapped = createWrappedModule(token)
afterAll(() => wrapped.remove())

const iv = Buffer.alloc(16)
const encrypt = (client: Client) => client.encrypt({ label: 'k' }, { mechanism: 'CKM_AES_CBC_PAD', iv }, iv)
const encryptMany = (client: Client, count: number) => Promise.all(Array.from({ length: count }, () => encrypt(client)))

test('short calls go on beside calls that hang, while threads started in slower times sleep', async () => {
  const client = await createClient({
    module: wrapped.module,
    token: { label: token.label },
    pin: { file: token.pinFile },
    // shorter than sleeping threads take to end by themselves, which would let the stuck ones be seen after all
    pool: { maxSize: SESSIONS, operationTimeoutMs: 5_000 },
  })
  try {
    // Slow calls, so that there is a thread for each session; then short ones, until the engine runs them one after the other.
    wrapped.delay('C_Encrypt', 2_000)
    await encryptMany(client, SESSIONS * 4)
    wrapped.clear()
    const [expected] = await encryptMany(client, 500)

    const hanging = 3
    wrapped.hang('C_Encrypt', { times: hanging })
    const stuck = Array.from({ length: hanging }, () => encrypt(client))
    // Else one of the others may be the third to reach the token.
    await until(() => wrapped.hanging() === hanging)
    const answers = await encryptMany(client, SESSIONS - hanging)
    expect(wrapped.hanging()).toBe(hanging)
    expect(answers).toEqual(answers.map(() => expected))

    wrapped.release()
    expect(await Promise.all(stuck)).toEqual(stuck.map(() => expected))
  } finally {
    wrapped.release()
    await client.close()
  }
})
