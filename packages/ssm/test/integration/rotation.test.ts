import { decodeProtectedHeader } from 'jose'
import { createClient } from 'pkcs11-pool'
import { createWrappedModule } from 'testkit'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rotateSigningKey } from '../../src/auth/rotate-signing-key.js'
import { encodeKeyId } from '../../src/hsm/key-id.js'
import { type AuthHarness, startAuthHarness } from '../auth-harness.js'

const hsm = useSoftHsmToken()
const HOUR_MS = 3_600_000
let harness: AuthHarness
let password: string

beforeAll(async () => {
  harness = await startAuthHarness(hsm)
  password = await harness.add('udm', 'udm')
})
afterAll(() => harness.close())

const start = Date.now()
const rotate = (hours: number, revoke = false) =>
  rotateSigningKey(harness.client, harness.store, { revoke, now: new Date(start + hours * HOUR_MS) })

async function status(token: string): Promise<number> {
  return (await harness.ask('GET', '/crypto/health-check', token)).status
}

/** Looks again with each turn of the loop until something is so; the test's own time limit is the limit. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve))
}

describe('rotating the key that signs tokens', () => {
  it('keeps older keys until no token of theirs is good, and then removes them', async () => {
    const first = await harness.token('udm', password)
    expect(await rotate(0)).toEqual({ made: 2, kept: [1], removed: [] })
    harness.advance(10_000)
    // the search that this begins is the one the next one waits for
    await status(first)
    await expect.poll(async () => (await harness.ask('GET', '/.well-known/jwks.json')).body.keys).toHaveLength(2)
    const second = await harness.token('udm', password)
    expect(decodeProtectedHeader(second).kid).not.toBe(decodeProtectedHeader(first).kid)
    expect([await status(first), await status(second)]).toEqual([200, 200])

    expect(await rotate(24)).toEqual({ made: 3, kept: [1, 2], removed: [] })
    expect(await rotate(25.5)).toEqual({ made: 4, kept: [2, 3], removed: [1] })
    harness.advance(10_000)
    await expect.poll(() => status(first)).toBe(401)
    expect(await status(second)).toBe(200)
  })

  it('ends every token at once when told to', async () => {
    const token = await harness.token('udm', password)
    const { made, kept, removed } = await rotate(26, true)
    expect([made, kept, removed]).toEqual([5, [], [2, 3, 4]])
    harness.advance(10_000)
    await expect.poll(() => status(token)).toBe(401)
    harness.advance(10_000)
    expect(await status(await harness.token('udm', password))).toBe(200)
    expect(await harness.client.keys.find({ label: 'JWT_SIGNING_KEY' })).toHaveLength(2)
  })
})

describe('a rotation', () => {
  it('is refused while another process does it, and changes nothing then', async () => {
    const wrapped = createWrappedModule(hsm)
    const other = await createClient({
      module: wrapped.module,
      token: { label: hsm.label },
      pin: { file: hsm.pinFile },
    })
    const keys = () => harness.client.keys.find({ label: 'JWT_SIGNING_KEY', class: 'CKO_PRIVATE_KEY' })
    const before = (await keys()).length
    wrapped.hang('C_GenerateKeyPair')
    const under = rotateSigningKey(other, harness.store, { revoke: true })
    await until(() => wrapped.hanging() === 1)
    const refused = rotateSigningKey(other, harness.store, { revoke: true })
    await expect(refused).rejects.toThrow(
      /^another rotation of JWT_SIGNING_KEY began at .* and is not over: .*try again in \d+ s$/,
    )
    expect(await keys()).toHaveLength(before)
    wrapped.release()
    const { made, removed } = await under
    expect((await keys()).map(({ id }) => id)).toEqual([encodeKeyId(made)])
    expect(removed).toHaveLength(before)
    // one that broke off holds nobody up for ever
    await harness.store
      .insertInto('signing_keys')
      .values({ key_id: -1, created_at: new Date(0).toISOString() })
      .execute()
    expect((await rotateSigningKey(other, harness.store, { revoke: true })).removed).toEqual([made])
    await other.close()
    wrapped.remove()
  })

  it('lets the next go on where it failed', async () => {
    const wrapped = createWrappedModule(hsm)
    const other = await createClient({
      module: wrapped.module,
      token: { label: hsm.label },
      pin: { file: hsm.pinFile },
    })
    wrapped.fail('C_GenerateKeyPair', 'CKR_DEVICE_MEMORY', { times: 1 })
    await expect(rotateSigningKey(other, harness.store, { revoke: true })).rejects.toThrow('CKR_DEVICE_MEMORY')
    expect((await rotateSigningKey(other, harness.store, { revoke: true })).kept).toEqual([])
    await other.close()
    wrapped.remove()
  })
})
