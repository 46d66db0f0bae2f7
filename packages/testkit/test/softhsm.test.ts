import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import pkcs11js from 'pkcs11js'
import { expect, test } from 'vitest'
import { createSoftHsm, createSoftHsmToken, hasOpenSessions, pkcs11Tool, softhsm2Util } from '../src/index.js'
import { useSoftHsm } from '../src/vitest.js'

const softHsm = useSoftHsm()

test('a token is found by another tool, with its label and serial number', () => {
  const token = softHsm.createToken({ label: 'found' })
  const slots = softhsm2Util(token, ['--show-slots'])
  expect(slots).toContain(`Slot ${token.slot}`)
  expect(slots).toMatch(new RegExp(`Serial number:\\s+${token.serial}`))
  expect(slots).toMatch(/Label:\s+found/)
})

test('directory and PIN file are for their owner only, and the file holds the PIN', () => {
  const token = softHsm.createToken({ label: 'private', pin: 'a-pin' })
  expect(statSync(token.directory).mode & 0o777).toBe(0o700)
  expect(statSync(token.pinFile).mode & 0o777).toBe(0o600)
  expect(readFileSync(token.pinFile, 'utf8')).toBe('a-pin')
})

test('keys of every type are made, numbered where asked, and more can follow', () => {
  const token = softHsm.createToken({
    label: 'keys',
    keys: [
      { label: 'k', count: 3, numbered: true },
      { label: 'small', type: 'aes-128', id: 7 },
      { label: 'old', type: 'des3' },
      { label: 'curve', type: 'ec-p256' },
      { label: 'rsa', type: 'rsa-2048' },
    ],
  })
  token.createKeys([{ label: 'later' }])
  const list = pkcs11Tool(token, ['--list-objects'])
  const labels = [...list.matchAll(/label: +(\S+)/g)].map(([, label]) => label)
  expect(labels.sort()).toEqual(['curve', 'curve', 'k-1', 'k-2', 'k-3', 'later', 'old', 'rsa', 'rsa', 'small'])
  expect(list).toMatch(/label: +small\s+ID: +00000007/)
})

test('several tokens live in one SoftHSM, beside one slot that is not initialised', () => {
  const [first, second] = [softHsm.createToken({ label: 'one' }), softHsm.createToken({ label: 'two' })]
  expect(second.serial).not.toBe(first.serial)
  expect([first.slot, second.slot]).not.toContain(softHsm.uninitializedSlot())
})

test('this process’s module sees the token, and tells whether it has sessions open there', () => {
  const token = softHsm.createToken({ label: 'here' })
  expect(hasOpenSessions(token)).toBe(false)
  const pkcs11 = new pkcs11js.PKCS11()
  pkcs11.load(token.module)
  pkcs11.C_Initialize()
  try {
    const slot = pkcs11.C_GetSlotList(true).find((each) => pkcs11.C_GetTokenInfo(each).serialNumber === token.serial)
    const session = pkcs11.C_OpenSession(slot ?? Buffer.alloc(0), pkcs11js.CKF_SERIAL_SESSION)
    expect(hasOpenSessions(token)).toBe(true)
    pkcs11.C_CloseSession(session)
    expect(hasOpenSessions(token)).toBe(false)
  } finally {
    pkcs11.C_Finalize()
  }
})

test('a token may be left without a user PIN', () => {
  const token = softHsm.createToken({ label: 'no-pin', pin: null })
  expect(softhsm2Util(token, ['--show-slots'])).toMatch(/User PIN init\.:\s+no\s+Label:\s+no-pin/)
})

test('removing takes the directory away, twice too', () => {
  const token = createSoftHsmToken()
  token.remove()
  token.remove()
  expect(existsSync(token.directory)).toBe(false)
})

test('a directory of the caller’s choice is made private and keeps its tokens', () => {
  const directory = join(softHsm.directory, 'nested')
  const { serial } = createSoftHsm({ directory }).createToken({ label: 'kept' })
  expect(statSync(directory).mode & 0o777).toBe(0o700)
  expect(softhsm2Util(createSoftHsm({ directory }), ['--show-slots'])).toContain(serial)
})
