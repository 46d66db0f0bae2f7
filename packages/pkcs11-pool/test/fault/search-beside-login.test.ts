import { createChaos } from 'pkcs11-chaos'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, afterEach, expect, test } from 'vitest'
import { type Client, createClient } from '../../src/index.js'

const token = useSoftHsmToken({ keys: [{ label: 'k' }] })
const chaos = createChaos({ module: token.module })
const clients: Client[] = []
afterEach(async () => {
  await chaos.rules.clear()
  await Promise.all(clients.splice(0).map((client) => client.close()))
})
afterAll(() => chaos.close())

test('a search made while nobody was logged in is not believed for a login that came since and is not answered yet', async () => {
  const client = await createClient({
    module: chaos.modulePath,
    token: { label: token.label },
    pin: { file: token.pinFile },
    pool: { minSize: 4, maxSize: 4, operationTimeoutMs: 60_000 },
  })
  clients.push(client)
  expect(await client.keys.find({ label: 'k' })).toHaveLength(1)
  await chaos.logOut()
  const searching = await chaos.rules.add({ on: 'C_FindObjectsFinal', hang: true })
  const found = client.keys.find({ label: 'k' })
  await chaos.waitFor(({ hanging }) => hanging === 1)
  // The login that the search knows nothing of: done at the token, and not told.
  const loggingIn = await chaos.rules.add({ on: 'C_Login', hang: true, phase: 'after' })
  await chaos.rules.add({ on: 'C_GenerateRandom', fail: 'CKR_USER_NOT_LOGGED_IN', nth: 1 })
  const random = client.generateRandom(4)
  await chaos.waitFor(({ hanging }) => hanging === 2)
  const looks = (await chaos.counters()).functions.C_GetSessionInfo?.calls ?? 0
  await chaos.rules.remove(searching)
  await chaos.waitFor(({ functions }) => (functions.C_GetSessionInfo?.calls ?? 0) > looks)
  await chaos.rules.remove(loggingIn)
  expect(await found).toHaveLength(1)
  expect(await random).toHaveLength(4)
})
