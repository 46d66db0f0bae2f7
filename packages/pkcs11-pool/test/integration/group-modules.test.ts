import { createCipheriv, randomBytes } from 'node:crypto'
import { createNssToken, createOpenCryptokiToken, type TestToken } from 'testkit'
import { useSoftHsmToken, useToken } from 'testkit/vitest'
import { expect, test } from 'vitest'
import { createGroup } from '../../src/index.js'
import { aesKey } from '../support/wrapped-token.js'

const softHsm = useSoftHsmToken({ label: 'softhsm' })
const others = [
  await useToken(() => createNssToken({ label: 'nss' })),
  await useToken(() => createOpenCryptokiToken({ label: 'ock' })),
]
const tokens: readonly TestToken[] = [softHsm, ...others.filter((token) => token !== undefined)]
const names = tokens.map(({ label }) => label)
const open = () =>
  createGroup({
    members: tokens.map(({ module, label, pin, initializeArgs }) => ({
      module,
      initializeArgs,
      token: { label },
      pin: { value: pin },
    })),
    minMembers: tokens.length,
    consistencyIntervalMs: Number.POSITIVE_INFINITY,
  })

const value = randomBytes(32)
const iv = randomBytes(16)
const plain = randomBytes(40)
const cipher = createCipheriv('aes-256-cbc', value, iv)
const expected = Buffer.concat([cipher.update(plain), cipher.final()])
const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv } as const

test('tokens of different makers serve as a group, and their keys are known to be the same though not all tell check values', async () => {
  await using group = await open()
  await group.keys.import(aesKey('shared', 1, value))
  for (const _ of names) expect(await group.encrypt({ label: 'shared' }, cbc, plain)).toEqual(expected)
  expect(group.stats().members.map(({ name, stats }) => [name, (stats?.acquired ?? 0) > 0])).toEqual(
    names.map((name) => [name, true]),
  )
  expect(await group.checkConsistency()).toMatchObject({ divergences: [], unproven: [], unasked: [] })

  // On the last another key of the same name, type and size.
  const last = group.member(names.at(-1) ?? '')
  await last.keys.destroy({ label: 'shared' })
  await last.keys.import(aesKey('shared', 1, randomBytes(32)))
  const { divergences } = await group.checkConsistency()
  expect(divergences).toEqual(
    names.length === 1
      ? []
      : [
          {
            class: 'CKO_SECRET_KEY',
            label: 'shared',
            id: '0x00000001',
            on: names,
            missingOn: [],
            differs: ['checkValue'],
          },
        ],
  )
  await group.keys.destroy({ label: 'shared' })
})

test('a key of which a token tells too little is not taken for the same, nor for another', async () => {
  await using group = await open()
  const { CKA_ENCRYPT: _, CKA_DECRYPT: __, ...template } = aesKey('secret', 2, value)
  await group.keys.import({ ...template, CKA_KEY_TYPE: 'CKK_GENERIC_SECRET', CKA_SIGN: true })
  expect(await group.checkConsistency()).toMatchObject({
    divergences: [],
    unproven: names.length === 1 ? [] : [{ class: 'CKO_SECRET_KEY', label: 'secret', id: '0x00000002' }],
  })
  await group.keys.destroy({ label: 'secret' })
})
