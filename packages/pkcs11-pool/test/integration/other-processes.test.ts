import { pkcs11Tool } from 'testkit'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterEach, expect, test } from 'vitest'
import { type Client, createClient } from '../../src/index.js'
import { rejection } from '../support/rejection.js'

const token = useSoftHsmToken()
const clients: Client[] = []
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()))
})

/** A client that never looks at a key again once it knows its handle, and does not remember that one is missing. */
async function open(): Promise<Client> {
  const { module, label, pin } = token
  const keys = { ttlMs: 3_600_000, negativeTtlMs: 0 }
  const client = await createClient({ module, token: { label }, pin: { value: pin }, keys })
  clients.push(client)
  return client
}

const encrypt = (client: Client, label: string) =>
  client.encrypt({ label }, { mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.alloc(16) }, Buffer.alloc(16))
const destroyElsewhere = (label: string) =>
  pkcs11Tool(token, ['--delete-object', '--type', 'secrkey', '--label', label])

test('a key that another process destroyed is missing, though another was made in its place, and never stands for that one', async () => {
  const client = await open()
  token.createKeys([{ label: 'held' }])
  const held = await encrypt(client, 'held')
  for (let round = 0; round < 3; round += 1) {
    destroyElsewhere('held')
    token.createKeys([{ label: 'placed' }])
    expect(await rejection(encrypt(client, 'held'))).toMatchObject({ code: 'KEY_NOT_FOUND' })
    // The same name again is another key, and is used as such.
    token.createKeys([{ label: 'held' }])
    const [next, placed] = [await encrypt(client, 'held'), await encrypt(client, 'placed')]
    expect(next).not.toEqual(held)
    expect(next).not.toEqual(placed)
    expect(next).toEqual(await encrypt(await open(), 'held'))
    destroyElsewhere('placed')
  }
})
