import { createCipheriv, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { type ClientGroup, type GroupDivergedError, createGroup } from '../../src/index.js'
import { rejection } from '../support/rejection.js'
import { useTokenGroup } from '../support/token-group.js'
import { aesKey } from '../support/wrapped-token.js'

const names = ['a', 'b', 'c']
const { chaos, open, plant, member, fault, count } = useTokenGroup(names)
/** One that stays open until the test ends. */
const patient = { failureThreshold: 1, initialBackoffMs: 600_000, maxBackoffMs: 600_000 }
let ids = 100

/** On which members a key is. */
async function whereIs(group: ClientGroup, label: string): Promise<string[]> {
  const found = await Promise.all(names.map((name) => group.member(name).keys.find({ label })))
  return names.filter((_, at) => found[at]?.length === 1)
}

function fresh(label: string): ReturnType<typeof aesKey> {
  ids += 1
  return aesKey(label, ids, randomBytes(32))
}

test('an imported key is the same on all members, also after its caller has wiped it', async () => {
  const group = await open()
  const value = randomBytes(32)
  const template = aesKey('imported', 1, value)
  const iv = randomBytes(16)
  const cipher = createCipheriv('aes-256-cbc', value, iv)
  const plain = Buffer.from('sixteen bytes...')
  const expected = Buffer.concat([cipher.update(plain), cipher.final()])
  const importing = group.keys.import(template)
  value.fill(0)
  template.CKA_LABEL = 'changed'
  expect(await importing).toMatchObject({ label: 'imported', class: 'CKO_SECRET_KEY', sizeBits: 256 })
  expect(await importing).not.toHaveProperty('handle')
  const mechanism = { mechanism: 'CKM_AES_CBC_PAD', iv } as const
  for (const name of names) {
    expect(await group.member(name).encrypt({ label: 'imported' }, mechanism, plain)).toEqual(expected)
  }
})

test('an update and a destruction reach all members', async () => {
  const group = await open()
  await group.keys.import(fresh('old name'))
  await group.keys.update({ label: 'old name' }, { CKA_LABEL: 'new name' })
  expect(await whereIs(group, 'new name')).toEqual(names)
  expect(await whereIs(group, 'old name')).toEqual([])
  await group.keys.destroy({ label: 'new name' })
  expect(await whereIs(group, 'new name')).toEqual([])
  expect(await rejection(group.keys.destroy({ label: 'new name' }))).toMatchObject({ code: 'KEY_NOT_FOUND' })
  expect(await rejection(group.keys.update({ label: 'new name' }, { CKA_LABEL: 'x' }))).toMatchObject({
    code: 'KEY_NOT_FOUND',
  })
})

test('what is wrapped on one member is unwrapped on all', async () => {
  const group = await open()
  await group.keys.import({ ...fresh('wrapping'), CKA_WRAP: true, CKA_UNWRAP: true })
  await group.keys.import({ ...fresh('wrapped'), CKA_EXTRACTABLE: true })
  const bytes = await group.keys.wrap('CKM_AES_KEY_WRAP', { label: 'wrapping' }, { label: 'wrapped' })
  const { CKA_VALUE: _, ...template } = fresh('unwrapped')
  await group.keys.unwrap('CKM_AES_KEY_WRAP', { label: 'wrapping' }, bytes, template)
  expect(await whereIs(group, 'unwrapped')).toEqual(names)
  const data = randomBytes(32)
  const derived = { ...template, CKA_LABEL: 'derived', CKA_VALUE_LEN: 32 }
  await group.keys.import({ ...fresh('base'), CKA_DERIVE: true })
  await group.keys.derive({ mechanism: 'CKM_AES_ECB_ENCRYPT_DATA', data }, { label: 'base' }, derived)
  expect(await whereIs(group, 'derived')).toEqual(names)
  expect(await group.checkConsistency()).toMatchObject({ divergences: [], unasked: [] })
})

test('a key cannot be generated on several tokens; on one it can', async () => {
  const group = await open()
  const template = { CKA_LABEL: 'made', CKA_TOKEN: true, CKA_VALUE_LEN: 32 } as const
  const generated = [await count('C_GenerateKey'), await count('C_GenerateKeyPair')]
  const pair = [{ CKA_TOKEN: true, CKA_MODULUS_BITS: 2048 }, { CKA_TOKEN: true }] as const
  for (const making of [
    group.keys.generate('CKM_AES_KEY_GEN', template),
    group.keys.generatePair('CKM_RSA_PKCS_KEY_PAIR_GEN', ...pair),
  ]) {
    expect(await rejection(making)).toMatchObject({
      code: 'GROUP_CANNOT_GENERATE',
      message: expect.stringContaining('import or unwrap it'),
    })
  }
  for (const counts of generated) expect(await counts()).toEqual([0, 0, 0])
  await using alone = await createGroup({ members: [member('a')], consistencyIntervalMs: Number.POSITIVE_INFINITY })
  expect(await alone.keys.generate('CKM_AES_KEY_GEN', template)).toMatchObject({ label: 'made' })
  await alone.keys.destroy({ label: 'made' })
})

test('with a member away nothing is written anywhere', async () => {
  const group = await open({}, { breaker: patient })
  await group.keys.import(fresh('stays'))
  await fault('c', { on: 'C_GenerateRandom', fail: 'CKR_DEVICE_REMOVED', times: 1 })
  await rejection(group.member('c').generateRandom(4))
  const sent = await Promise.all([count('C_CreateObject'), count('C_SetAttributeValue'), count('C_DestroyObject')])
  for (const write of [
    group.keys.import(fresh('never')),
    group.keys.update({ label: 'stays' }, { CKA_LABEL: 'gone' }),
    group.keys.destroy({ label: 'stays' }),
  ]) {
    expect(await rejection(write)).toMatchObject({
      code: 'GROUP_INCOMPLETE',
      message: expect.stringMatching(/c \(.*CKR_DEVICE_REMOVED.*\) cannot be reached now; nothing was sent/),
    })
  }
  for (const counts of sent) expect(await counts()).toEqual([0, 0, 0])
})

test('what is wrong with a write shows on the first member, and no other is touched', async () => {
  const group = await open()
  const created = await count('C_CreateObject')
  const { CKA_CLASS: _, ...wrong } = fresh('wrong')
  expect(await rejection(group.keys.import(wrong))).toMatchObject({ category: 'caller', code: 'CRYPTOKI' })
  expect(await rejection(group.keys.import({ CKA_LABEL: 7 } as never))).toMatchObject({ code: 'INVALID_ARGUMENT' })
  expect(await created()).toEqual([1, 0, 0])
  expect(await whereIs(group, 'wrong')).toEqual([])
})

test('a write that fails in between is finished on the others, and the error says which member has what', async () => {
  const group = await open()
  await fault('b', { on: 'C_CreateObject', fail: 'CKR_DEVICE_ERROR' })
  await fault('c', { on: 'C_CreateObject', fail: 'CKR_ATTRIBUTE_VALUE_INVALID' })
  const diverged = new Promise((resolve) => group.on('diverged', resolve))
  const created = await count('C_CreateObject')
  const error = (await rejection(group.keys.import(fresh('half')))) as GroupDivergedError
  expect(error).toMatchObject({
    code: 'GROUP_DIVERGED',
    category: 'token',
    outcomes: [
      { member: 'a', outcome: 'done', error: undefined },
      { member: 'b', outcome: 'unknown', error: { rvName: 'CKR_DEVICE_ERROR' } },
      { member: 'c', outcome: 'not done', error: { rvName: 'CKR_ATTRIBUTE_VALUE_INVALID' } },
    ],
    cause: { rvName: 'CKR_DEVICE_ERROR' },
  })
  expect(error.message).toMatch(
    /^import of key with label "half" was done on a; was not done on c \(.*\); may have been done on b \(.*\)\. do it by hand/,
  )
  expect(await created()).toEqual([1, 1, 1])
  expect(await diverged).toMatchObject({ label: 'half', on: ['a'], missingOn: ['b', 'c'] })
  expect(group.health()).toMatchObject({ state: 'degraded', divergences: [{ label: 'half' }] })
  // Destroyed in the group, it is gone everywhere.
  await group.keys.destroy({ label: 'half' })
  expect(await group.checkConsistency()).toMatchObject({ divergences: [] })
  expect(group.health()).toMatchObject({ divergences: [] })
})

test('when it is unknown whether the first has done it, no other is touched', async () => {
  const group = await open()
  const rule = await fault('a', { on: 'C_CreateObject', fail: 'CKR_DEVICE_ERROR' })
  const created = await count('C_CreateObject')
  const outcomes = [{ outcome: 'unknown' }, { outcome: 'not done' }, { outcome: 'not done' }]
  expect(await rejection(group.keys.import(fresh('unknown')))).toMatchObject({ code: 'GROUP_DIVERGED', outcomes })
  expect(await whereIs(group, 'unknown')).toEqual([])
  await chaos.rules.remove(rule)
  await fault('a', { on: 'C_CreateObject', fail: 'CKR_DEVICE_ERROR', phase: 'after' })
  expect(await rejection(group.keys.import(fresh('unknown')))).toMatchObject({ code: 'GROUP_DIVERGED', outcomes })
  expect(await whereIs(group, 'unknown')).toEqual(['a'])
  expect(await created()).toEqual([2, 0, 0])
  await group.keys.destroy({ label: 'unknown' })
})

test('a change whose answer was lost is sent to nobody twice', async () => {
  const group = await open({}, { breaker: { ...patient, failureThreshold: 1_000 } })
  await group.keys.import({
    ...fresh('lost'),
    CKA_WRAP: true,
    CKA_UNWRAP: true,
    CKA_DERIVE: true,
    CKA_EXTRACTABLE: true,
  })
  const wrapped = await group.keys.wrap('CKM_AES_KEY_WRAP', { label: 'lost' }, { label: 'lost' })
  const { CKA_VALUE: _, ...template } = fresh('made')
  const derived = { ...template, CKA_LABEL: 'lost derived', CKA_VALUE_LEN: 32 }
  const ecb = { mechanism: 'CKM_AES_ECB_ENCRYPT_DATA', data: randomBytes(32) } as const
  const changes = {
    C_CreateObject: () => group.keys.import(fresh('created')),
    C_UnwrapKey: () => group.keys.unwrap('CKM_AES_KEY_WRAP', { label: 'lost' }, wrapped, template),
    C_DeriveKey: () => group.keys.derive(ecb, { label: 'lost' }, derived),
    C_SetAttributeValue: () => group.keys.update({ label: 'lost' }, { CKA_LABEL: 'lost' }),
    C_DestroyObject: () => group.keys.destroy({ label: 'lost' }),
  }
  for (const [fn, change] of Object.entries(changes) as [keyof typeof changes, () => Promise<unknown>][]) {
    const sent = await count(fn)
    const rule = await fault('b', { on: fn, fail: 'CKR_FUNCTION_FAILED', phase: 'after' })
    expect(await rejection(change())).toMatchObject({
      code: 'GROUP_DIVERGED',
      outcomes: [{ outcome: 'done' }, { outcome: 'unknown' }, { outcome: 'done' }],
    })
    expect(await sent()).toEqual([1, 1, 1])
    await chaos.rules.remove(rule)
  }
  // What was lost is the answer: all have it done.
  for (const label of ['created', 'made', 'lost derived'])
    expect([label, await whereIs(group, label)]).toEqual([label, names])
  expect(await whereIs(group, 'lost')).toEqual([])
  expect(await group.checkConsistency()).toMatchObject({ divergences: [] })
})

test('a key that is not on all members is not updated, and can be destroyed', async () => {
  await plant('b', fresh('on b'))
  const group = await open()
  expect(await rejection(group.keys.update({ label: 'on b' }, { CKA_LABEL: 'x' }))).toMatchObject({
    code: 'GROUP_DIVERGED',
    message: expect.stringContaining('was not sent: b has the key, and a, c has not'),
  })
  expect(group.health().divergences).toMatchObject([{ label: 'on b', on: ['b'], missingOn: ['a', 'c'] }])
  expect(await whereIs(group, 'on b')).toEqual(['b'])
  await group.keys.destroy({ label: 'on b' })
  expect(await whereIs(group, 'on b')).toEqual([])
})

test('a write whose caller is gone is finished on all members once it was done on one', async () => {
  const group = await open()
  for (const leaving of ['abort', 'deadline'] as const) {
    const held = await fault('b', { on: 'C_CreateObject', hang: true })
    const gone = new AbortController()
    const label = `left by ${leaving}`
    const options = leaving === 'abort' ? { signal: gone.signal } : { timeoutMs: 2_000 }
    const left = rejection(group.keys.import(fresh(label), options))
    await chaos.waitFor(({ hanging }) => hanging === 1)
    gone.abort(new Error('gone'))
    expect(await left).toMatchObject(
      leaving === 'abort'
        ? { message: 'gone' }
        : { code: 'GROUP_DIVERGED', outcomes: [{ outcome: 'done' }, { outcome: 'unknown' }, { outcome: 'unknown' }] },
    )
    // The next write waits for it.
    const next = group.keys.import(fresh(`${label}, next`))
    await chaos.rules.remove(held)
    await next
    expect(await whereIs(group, label)).toEqual(names)
  }
  expect(await group.checkConsistency()).toMatchObject({ divergences: [] })
})

test('writes of one key from several callers leave the members alike', async () => {
  const group = await open()
  await group.keys.import(fresh('contended'))
  const { id } = await group.keys.get({ label: 'contended' })
  const updates = Array.from({ length: 12 }, (_, at) => group.keys.update({ id }, { CKA_LABEL: `label ${at}` }))
  await Promise.all(updates)
  expect(await whereIs(group, 'label 11')).toEqual(names)
})

test('a write that waits for others ends with its caller, before anything is sent', async () => {
  const group = await open()
  const held = await fault('a', { on: 'C_CreateObject', hang: true })
  const first = group.keys.import(fresh('first'))
  await chaos.waitFor(({ hanging }) => hanging === 1)
  expect(await rejection(group.keys.import(fresh('second'), { timeoutMs: 1 }))).toMatchObject({
    code: 'OPERATION_TIMEOUT',
    category: 'overload',
  })
  const gone = AbortSignal.abort(new Error('gone'))
  expect(await rejection(group.keys.import(fresh('third'), { signal: gone }))).toMatchObject({ message: 'gone' })
  expect(await rejection(group.keys.import(fresh('fourth'), { timeout: 1 } as never))).toMatchObject({
    code: 'INVALID_ARGUMENT',
  })
  await chaos.rules.remove(held)
  await first
  expect(await whereIs(group, 'first')).toEqual(names)
  for (const label of ['second', 'third', 'fourth']) expect(await whereIs(group, label)).toEqual([])
})
