import { randomBytes } from 'node:crypto'
import { hasOpenSessions } from 'testkit'
import { useSoftHsm } from 'testkit/vitest'
import { expect, test } from 'vitest'
import { type CryptoClient, createClient, createGroup } from '../../src/index.js'
import { aesKey } from '../support/wrapped-token.js'

const softHsm = useSoftHsm()
const tokens = ['east', 'west'].map((label) => softHsm.createToken({ label }))
const members = tokens.map(({ module, label, pinFile }) => ({ module, token: { label }, pin: { file: pinFile } }))

/** Code that does not care how many tokens there are. */
async function roundTrip(client: CryptoClient, label: string): Promise<boolean> {
  const plain = randomBytes(20)
  const sealed = await client.seal({ label }, plain)
  const opened = await client.open({ label }, sealed)
  return opened.equals(plain)
}

test('two tokens of one module serve as a group, and what takes a client takes it', async () => {
  await using group = await createGroup({ members, minMembers: 2 })
  await group.keys.import({ ...aesKey('shared', 1, randomBytes(32)), CKA_WRAP: true })
  const answers = await Promise.all(Array.from({ length: 40 }, () => roundTrip(group, 'shared')))
  expect(answers).toEqual(Array(40).fill(true))
  const { acquired } = group
    .stats()
    .members.reduce((least, { stats }) => ({ acquired: Math.min(least.acquired, stats?.acquired ?? 0) }), {
      acquired: Number.POSITIVE_INFINITY,
    })
  expect(acquired).toBeGreaterThan(10)
  expect(await group.checkConsistency()).toMatchObject({ divergences: [], unasked: [] })
  expect(group.health().state).toBe('ok')
  expect(await group.close()).toEqual({ abandoned: 0 })
})

test('one client of the same module goes on when the group is closed', async () => {
  const client = await createClient(members[0]!)
  const group = await createGroup({ members, minMembers: 2 })
  expect(await roundTrip(group, 'shared')).toBe(true)
  await group.close()
  expect(await roundTrip(client, 'shared')).toBe(true)
  await client.close()
  expect(tokens.map((token) => hasOpenSessions(token))).toEqual([false, false])
})
