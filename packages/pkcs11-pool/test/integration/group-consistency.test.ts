import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import type { GroupEvents } from '../../src/index.js'
import { rejection } from '../support/rejection.js'
import { until, useTokenGroup } from '../support/token-group.js'
import { aesKey } from '../support/wrapped-token.js'

const { chaos, open, plant, fault } = useTokenGroup(['a', 'b'])
const patient = { breaker: { failureThreshold: 1, initialBackoffMs: 600_000, maxBackoffMs: 600_000 } }
const same = randomBytes(32)

test('a missing, an extra and a different key are found, told of once each, and no value with them', async () => {
  const values = [randomBytes(32), randomBytes(32)]
  for (const name of ['a', 'b']) await plant(name, aesKey('same', 1, same))
  await plant('a', aesKey('only a', 2, values[0]!))
  await plant('b', aesKey('only b', 3, values[1]!))
  for (const [at, name] of ['a', 'b'].entries()) await plant(name, aesKey('different', 4, values[at]!))
  await plant('a', aesKey('size', 5, randomBytes(16)))
  await plant('b', aesKey('size', 5, randomBytes(32)))
  for (const name of ['a', 'b', 'b']) await plant(name, aesKey('twice', 6, same))
  const group = await open()
  const told: GroupEvents['diverged'][] = []
  group.on('diverged', (event) => told.push(event))
  const report = await group.checkConsistency()
  const found = report.divergences.toSorted((one, other) => (one.id ?? '').localeCompare(other.id ?? ''))
  const key = (label: string, id: number) => ({ class: 'CKO_SECRET_KEY', label, id: `0x0000000${id}` })
  expect(found).toEqual([
    { ...key('only a', 2), on: ['a'], missingOn: ['b'], differs: [] },
    { ...key('only b', 3), on: ['b'], missingOn: ['a'], differs: [] },
    { ...key('different', 4), on: ['a', 'b'], missingOn: [], differs: ['checkValue'] },
    { ...key('size', 5), on: ['a', 'b'], missingOn: [], differs: expect.arrayContaining(['sizeBits']) },
    { ...key('twice', 6), on: ['a', 'b'], missingOn: [], differs: ['number'] },
  ])
  expect(told).toEqual(report.divergences)
  await group.checkConsistency()
  expect(told).toHaveLength(5)
  const health = group.health()
  expect(health).toMatchObject({ state: 'degraded', divergences: report.divergences, lastCheck: { unasked: [] } })
  expect(group.metrics()).toContain('pkcs11_pool_group_diverged_keys 5\n')
  const written = JSON.stringify([health, told])
  for (const value of values) expect(written).not.toContain(value.toString('hex'))

  for (const label of ['only a', 'only b', 'different', 'size']) await group.keys.destroy({ label })
  for (const each of await group.member('b').keys.find({ label: 'twice' })) {
    await group.member('b').withSession((session) => session.destroyObject(each))
  }
  await group.member('a').keys.destroy({ label: 'twice' })
  expect(await group.checkConsistency()).toMatchObject({ divergences: [] })
  expect(group.health()).toMatchObject({ state: 'ok', divergences: [] })
})

test('RSA pairs of the same name that are not the same are found by their moduli', async () => {
  const group = await open()
  for (const name of ['a', 'b']) {
    const names = { CKA_LABEL: 'rsa', CKA_ID: 7, CKA_TOKEN: true }
    await group
      .member(name)
      .keys.generatePair(
        'CKM_RSA_PKCS_KEY_PAIR_GEN',
        { ...names, CKA_MODULUS_BITS: 1024 },
        { ...names, CKA_SIGN: true },
      )
  }
  const { divergences } = await group.checkConsistency()
  expect(divergences.map(({ class: keyClass, differs }) => [keyClass, differs]).toSorted()).toEqual([
    ['CKO_PRIVATE_KEY', ['modulus']],
    ['CKO_PUBLIC_KEY', ['modulus']],
  ])
  for (const each of ['CKO_PRIVATE_KEY', 'CKO_PUBLIC_KEY'] as const)
    await group.keys.destroy({ label: 'rsa', class: each })
})

test('keys are compared when the group is made, and then at the interval, until it is closed', async () => {
  const group = await open({ consistencyIntervalMs: 10 })
  await until(() => group.health().lastCheck !== undefined)
  const told = new Promise((resolve) => group.on('diverged', resolve))
  await plant('a', aesKey('new', 8, randomBytes(32)))
  expect(await told).toMatchObject({ label: 'new', on: ['a'], missingOn: ['b'] })
  await group.keys.destroy({ label: 'new' })
  await until(() => group.health().state === 'ok')
  await group.close()
})

test('a member that cannot be asked is named, and what was known of it stands', async () => {
  await plant('a', aesKey('stands', 9, randomBytes(32)))
  const group = await open({}, patient)
  expect((await group.checkConsistency()).divergences).toHaveLength(1)
  await fault('b', { on: 'C_GenerateRandom', fail: 'CKR_DEVICE_REMOVED', times: 1 })
  await rejection(group.member('b').generateRandom(4))
  expect(await group.checkConsistency()).toMatchObject({ divergences: [], unasked: ['b'] })
  expect(group.health().divergences).toMatchObject([{ label: 'stands' }])
  await fault('a', { on: 'C_FindObjectsInit', fail: 'CKR_DEVICE_ERROR' })
  expect(await group.checkConsistency()).toMatchObject({ divergences: [], unasked: ['a', 'b'] })
})

test('what differs for a moment only is not told', async () => {
  const group = await open()
  await group.keys.destroy({ label: 'stands' })
  let told = 0
  group.on('diverged', () => (told += 1))
  const writing = await fault('b', { on: 'C_CreateObject', hang: true })
  const importing = group.keys.import(aesKey('moment', 10, randomBytes(32)))
  await chaos.waitFor(({ hanging }) => hanging === 1)
  // Listed while it is on one member only; when the second look comes, it is on both.
  const looking = [
    await fault('a', { on: 'C_FindObjectsInit', nth: 2, hang: true }),
    await fault('b', { on: 'C_FindObjectsInit', nth: 2, hang: true }),
  ]
  const checking = group.checkConsistency()
  await chaos.waitFor(({ hanging }) => hanging === 3)
  await chaos.rules.remove(writing)
  await importing
  for (const rule of looking) await chaos.rules.remove(rule)
  expect(await checking).toMatchObject({ divergences: [] })
  expect(told).toBe(0)
})

test('who asks for a comparison is bound by a time and a signal of its own', async () => {
  const group = await open()
  const held = await fault('a', { on: 'C_FindObjectsInit', hang: true })
  const gone = new AbortController()
  const one = rejection(group.checkConsistency({ timeoutMs: 1 }))
  const other = rejection(group.checkConsistency({ signal: gone.signal }))
  const patientOne = group.checkConsistency()
  gone.abort(new Error('gone'))
  expect(await one).toMatchObject({ code: 'OPERATION_TIMEOUT' })
  expect(await other).toMatchObject({ message: 'gone' })
  await chaos.rules.remove(held)
  expect(await patientOne).toMatchObject({ divergences: [], unasked: [] })
})
