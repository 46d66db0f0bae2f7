// What search-memory.mjs dumps: a program that reads secrets, uses them, and wipes what is its own.
//
//   node program-with-secrets.mjs CLIENT-OPTIONS FILES
import { once } from 'node:events'
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { createClient } from '../packages/pkcs11-pool/dist/index.js'

const ROUNDS = 20
const [options, files] = process.argv.slice(2).map((text) => JSON.parse(text))
const CBC = { mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.alloc(16) }
const key = { label: 'imported' }

/** Into memory of its own, of which nothing else has a copy. */
function readSecret(name) {
  const descriptor = openSync(files[name], 'r')
  const bytes = Buffer.allocUnsafeSlow(fstatSync(descriptor).size)
  readSync(descriptor, bytes)
  closeSync(descriptor)
  return bytes
}

async function tell(moment) {
  globalThis.gc()
  process.send(moment)
  await once(process, 'message')
}

/** Everything that data and answers pass through, several at a time. */
async function use(client, plain) {
  const answers = []
  const useOnce = async () => {
    const [cipher, sealed] = await Promise.all([client.encrypt(key, CBC, plain), client.seal(key, plain)])
    answers.push(await client.decrypt(key, CBC, cipher), await client.open(key, sealed))
    await client.digest('CKM_SHA256', plain)
    const batch = await client.batch([
      { op: 'encrypt', key, mechanism: CBC, data: plain },
      { op: 'decrypt', key, mechanism: CBC, data: cipher },
    ])
    answers.push(batch[1].value)
  }
  for (let round = 0; round < ROUNDS; round += 1) await Promise.all(Array.from({ length: 8 }, useOnce))
  return answers
}

const short = readSecret('a short plaintext')
const long = readSecret('a long plaintext')
const value = readSecret('an imported key')
const client = await createClient(options)
await client.keys.import({
  CKA_CLASS: 'CKO_SECRET_KEY',
  CKA_KEY_TYPE: 'CKK_AES',
  CKA_LABEL: key.label,
  CKA_TOKEN: true,
  CKA_ENCRYPT: true,
  CKA_DECRYPT: true,
  CKA_VALUE: value,
})
const answers = [...(await use(client, short)), ...(await use(client, long))]
if (answers.some((answer) => !answer.equals(answer.length === short.length ? short : long)))
  throw new Error('a wrong answer')
await tell('open')
for (const bytes of [short, long, value, ...answers]) bytes.fill(0)
await tell('wiped by the program')
await client.close()
await tell('closed')
process.disconnect()
