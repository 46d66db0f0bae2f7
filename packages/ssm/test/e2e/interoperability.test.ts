import { execFileSync } from 'node:child_process'
import { createDecipheriv, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { useSoftHsmToken } from 'testkit/vitest'
import { describe, expect, it } from 'vitest'

interface Answer {
  status: number
  body: Record<string, unknown>
}

const token = useSoftHsmToken()
const PLAIN = '00112233445566778899aabbccddeeff'
const LEGACY = `openssl_conf = main
nodejs_conf = main
[main]
providers = providers
[providers]
default = on
legacy = on
[on]
activate = 1
`

/** Asks a service whose OpenSSL offers what it calls legacy, single DES among it. */
function ask(requests: object[], keys: object[] = []): Answer[] {
  const configuration = join(token.directory, 'openssl.cnf')
  writeFileSync(configuration, LEGACY)
  const { module, label, pinFile } = token
  const answers = execFileSync(process.execPath, [fileURLToPath(new URL('ask-service.mjs', import.meta.url))], {
    input: JSON.stringify({ module, label, pinFile, keys, requests }),
    env: { ...process.env, ...token.env, OPENSSL_CONF: configuration },
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  return JSON.parse(answers) as Answer[]
}

/** What the `openssl` command makes of {@link PLAIN}. */
function openssl(cipher: string, key: Buffer, iv: Buffer | null, padded: boolean): string {
  const args = ['enc', `-${cipher}`, '-K', key.toString('hex'), '-provider', 'default', '-provider', 'legacy']
  if (iv !== null) args.push('-iv', iv.toString('hex'))
  if (!padded) args.push('-nopad')
  return execFileSync('openssl', args, { input: Buffer.from(PLAIN, 'hex') }).toString('hex')
}

describe.each([
  { label: 'K4_AES', type: 'AES', bytes: 32, block: 16, algorithm: 1, cbc: 'aes-256-cbc', ecb: 'aes-256-ecb' },
  { label: 'K4_AES', type: 'AES', bytes: 16, block: 16, algorithm: 2, cbc: 'aes-128-cbc', ecb: 'aes-128-ecb' },
  { label: 'K4_DES', type: 'DES', bytes: 8, block: 8, algorithm: 3, cbc: 'des-cbc', ecb: 'des-ecb' },
  { label: 'K4_DES3', type: 'DES3', bytes: 24, block: 8, algorithm: 4, cbc: 'des-ede3-cbc', ecb: 'des-ede3' },
])('what OpenSSL encrypts with $cbc and $ecb', ({ label, type, bytes, block, algorithm, cbc, ecb }) => {
  it('decrypts here, with the key stored', () => {
    const key = randomBytes(bytes)
    const iv = randomBytes(block)
    const id = 100 + bytes
    const decrypt = (cipher: string, more: object) => ({
      url: '/crypto/decrypt',
      body: { key_label: label, id, cipher, iv: '', encryption_algorithm: algorithm, ...more },
    })
    const hex = iv.toString('hex')
    const store = { key_label: label, id, key_value: key.toString('hex'), key_type: type }
    const [stored, ...decrypted] = ask([
      { url: '/crypto/store-key', body: store },
      decrypt(openssl(cbc, key, iv, true), { iv: hex }),
      decrypt(openssl(cbc, key, iv, false), { iv: hex, padding: 'none' }),
      decrypt(openssl(ecb, key, null, false), {}),
    ])
    expect(stored?.status).toBe(201)
    expect(decrypted).toEqual([1, 2, 3].map(() => ({ status: 200, body: { plain: PLAIN } })))
  })
})

it('what is encrypted here with DES and DES3 decrypts elsewhere, and with generated keys here', () => {
  const [des, des3] = [randomBytes(8), randomBytes(24)]
  const encrypt = (key_label: string, encryption_algorithm: number) => ({
    url: '/crypto/encrypt',
    body: { key_label, plain: PLAIN, encryption_algorithm },
  })
  const answers = ask(
    [
      encrypt('known DES', 7),
      encrypt('known DES3', 8),
      { url: '/crypto/generate-des-key', body: { id: 1 } },
      { url: '/crypto/generate-des3-key', body: { id: 1 } },
      encrypt('KEY_ENCRYPTION_DES', 7),
      encrypt('KEY_ENCRYPTION_DES3', 8),
    ],
    [
      { CKA_LABEL: 'known DES', CKA_KEY_TYPE: 'CKK_DES', value: des.toString('hex') },
      { CKA_LABEL: 'known DES3', CKA_KEY_TYPE: 'CKK_DES3', value: des3.toString('hex') },
    ],
  )
  expect(answers.map(({ status }) => status)).toEqual([201, 201, 201, 201, 201, 201])
  // Node does not offer single DES, but three times with one key it is that
  for (const [at, key] of [Buffer.concat([des, des, des]), des3].entries()) {
    const { cipher, iv } = answers[at]!.body as { cipher: string; iv: string }
    const decipher = createDecipheriv('des-ede3-cbc', key, Buffer.from(iv, 'hex'))
    expect(decipher.update(cipher, 'hex', 'hex') + decipher.final('hex')).toBe(PLAIN)
  }
  const generated = answers.slice(4).map(({ body: { cipher, iv, id } }, at) => ({
    url: '/crypto/decrypt',
    body: {
      key_label: ['KEY_ENCRYPTION_DES', 'KEY_ENCRYPTION_DES3'][at],
      id,
      cipher,
      iv,
      encryption_algorithm: 7 + at,
    },
  }))
  expect(ask(generated)).toEqual([1, 2].map(() => ({ status: 200, body: { plain: PLAIN } })))
})
