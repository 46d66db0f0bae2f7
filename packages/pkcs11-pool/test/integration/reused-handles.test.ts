import { createOpenCryptokiToken, pkcs11Tool, type TestToken } from 'testkit'
import { useToken } from 'testkit/vitest'
import { afterEach, expect, test } from 'vitest'
import { type Client, type ClientOptions, createClient } from '../../src/index.js'
import { rejection } from '../support/rejection.js'
import { OPERATIONS, shareToken } from '../support/shared-token.js'

const clients: Client[] = []
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()))
})

/** A client that never looks at a key by itself once it knows its handle. */
async function open({ module, label, pin }: TestToken, keys: ClientOptions['keys'] = {}): Promise<Client> {
  const client = await createClient({
    module,
    token: { label },
    pin: { value: pin },
    keys: { ttlMs: 3_600_000, negativeTtlMs: 0, ...keys },
  })
  clients.push(client)
  return client
}

const cbc = { mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.alloc(16) } as const
const data = Buffer.alloc(16)
const encrypt = (client: Client, label: string) => client.encrypt({ label }, cbc, data)

/** Another process puts a key in the place of another, and this one sees it: openCryptoki gives it the other's handle. */
async function replaceElsewhere(token: TestToken, client: Client, [before, after]: [string, string]): Promise<void> {
  const [old] = await client.keys.find({ label: before })
  pkcs11Tool(token, ['--delete-object', '--type', 'secrkey', '--label', before])
  token.createKeys([{ label: after }])
  const [placed] = await client.keys.find({ label: after })
  expect(placed?.handle).toBe(old?.handle)
}

const token = await useToken(() => createOpenCryptokiToken())
if (token !== undefined) sharedWithOthers(token)

function sharedWithOthers(token: TestToken): void {
  test('a key whose handle is another key’s by now is missing, and what the other answers is not told', async () => {
    const client = await open(token)
    token.createKeys([{ label: 'one' }])
    await encrypt(client, 'one')
    await replaceElsewhere(token, client, ['one', 'two'])
    expect(await rejection(encrypt(client, 'one'))).toMatchObject({ code: 'KEY_NOT_FOUND' })
    const two = await encrypt(client, 'two')
    await replaceElsewhere(token, client, ['two', 'three'])
    // a failure is not told either: of another key's bytes it says nothing
    expect(await rejection(client.decrypt({ label: 'two' }, cbc, two))).toMatchObject({ code: 'KEY_NOT_FOUND' })
  })

  test('of a batch neither, and the other items keep their answers', async () => {
    const client = await open(token)
    token.createKeys([{ label: 'kept' }, { label: 'left' }])
    const item = (label: string) => ({ op: 'encrypt', key: { label }, mechanism: cbc, data }) as const
    const batch = () => client.batch([item('kept'), item('left'), { op: 'digest', mechanism: 'CKM_SHA256', data }])
    const [kept, , digest] = await batch()
    await replaceElsewhere(token, client, ['left', 'right'])
    expect(await batch()).toEqual([
      kept,
      { status: 'rejected', reason: expect.objectContaining({ code: 'KEY_NOT_FOUND' }) },
      digest,
    ])
  })

  test('a key of the same name is used in the place of the old one', async () => {
    const client = await open(token)
    token.createKeys([{ label: 'again' }])
    const before = await encrypt(client, 'again')
    await replaceElsewhere(token, client, ['again', 'other'])
    token.createKeys([{ label: 'again' }])
    const after = await encrypt(client, 'again')
    expect([after.equals(before), after.equals(await encrypt(client, 'other'))]).toEqual([false, false])
    expect(after).toEqual(await encrypt(await open(token), 'again'))
  })

  test('who wants no such looks gets the other key’s answer', async () => {
    const client = await open(token, { confirmUse: false })
    token.createKeys([{ label: 'unseen' }])
    await encrypt(client, 'unseen')
    await replaceElsewhere(token, client, ['unseen', 'seen'])
    expect(await encrypt(client, 'unseen')).toEqual(await encrypt(client, 'seen'))
  })

  // Only where it is asked for: openCryptoki's library itself ends a process now and then whose token others change (SIGSEGV).
  const rounds = process.env.SHARING_ROUNDS
  test.runIf(rounds)(
    'two processes and pkcs11-tool share a token, and no answer is wrong',
    async () => {
      for (const report of await shareToken(token, Number(rounds))) {
        expect(report).toMatchObject({ wrong: [], unexpected: [], abandoned: 0 })
        expect(Object.keys(report.right).sort()).toEqual(OPERATIONS)
      }
    },
    600_000,
  )
}
