// Run as a process of its own by `interoperability.test.ts`: OpenSSL, which SoftHSM computes with, reads its configuration when a process
// begins. Takes { module, label, pinFile, keys, requests } on stdin: keys to put on the token, and requests to make of the service after
// that. Writes the answers to stdout.
import { readFileSync } from 'node:fs'
import { createClient } from 'pkcs11-pool'
import { buildApp } from '../../dist/index.js'

const { module, label, pinFile, keys, requests } = JSON.parse(readFileSync(0, 'utf8'))
const client = await createClient({ module, token: { label }, pin: { file: pinFile } })
for (const { value, ...template } of keys) {
  await client.keys.import({
    CKA_CLASS: 'CKO_SECRET_KEY',
    CKA_TOKEN: true,
    CKA_PRIVATE: true,
    CKA_ENCRYPT: true,
    CKA_DECRYPT: true,
    CKA_VALUE: Buffer.from(value, 'hex'),
    ...template,
  })
}
const app = buildApp({ client, authentication: 'none', config: { legacyAlgorithms: true } })
const answers = []
for (const { url, body } of requests) {
  const headers = { 'content-type': 'application/json' }
  const answer = await app.inject({ method: 'POST', url, headers, payload: JSON.stringify(body) })
  answers.push({ status: answer.statusCode, body: JSON.parse(answer.body) })
}
await app.close()
await client.close()
process.stdout.write(JSON.stringify(answers))
