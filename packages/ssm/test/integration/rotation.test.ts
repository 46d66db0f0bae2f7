import { decodeProtectedHeader } from 'jose'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rotateSigningKey } from '../../src/auth/rotate-signing-key.js'
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
