import { createCipheriv, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { calculateJwkThumbprint, decodeProtectedHeader } from 'jose'
import { pkcs11Tool } from 'testkit'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readAnchors } from '../../src/audit/anchor.js'
import { AUDIT_KEY_LABEL, AuditSigner, auditKeysOf, openStatement } from '../../src/audit/signer.js'
import { rotateSigningKey } from '../../src/auth/rotate-signing-key.js'
import { readPublicKeys } from '../../src/auth/signing-keys.js'
import { encodeKeyId } from '../../src/hsm/key-id.js'
import { startServer } from '../../src/server.js'
import { type AuthHarness, startAuthHarness } from '../auth-harness.js'

const LATE_ID = '7f000000'
const OWN_LABEL = 'KEY_ENCRYPTION_AES256'

const hsm = useSoftHsmToken()
const intruder = generateKeyPairSync('rsa', { modulusLength: 2048 })
let harness: AuthHarness
let webconsole: string

/** Makes an object as anybody can who reaches the token and does not know its PIN. */
function plant(content: Buffer, ...how: string[]): void {
  const file = join(hsm.directory, randomUUID())
  writeFileSync(file, content)
  pkcs11Tool(hsm, ['--write-object', file, ...how], { login: false })
  rmSync(file)
}

function plantPublicKey(key: KeyObject, label: string, id = LATE_ID): void {
  plant(key.export({ type: 'spki', format: 'der' }), '--type', 'pubkey', '--label', label, '--id', id)
}

/** `pkcs11-tool` makes private keys private objects; to be public is up to who makes them. */
async function plantPrivateKey(key: KeyObject, label: string, id: number): Promise<void> {
  const { n, e, d, p, q, dp, dq, qi } = key.export({ format: 'jwk' })
  const bytes = (text: string | undefined) => Buffer.from(text ?? '', 'base64url')
  await harness.client.keys.import({
    CKA_CLASS: 'CKO_PRIVATE_KEY',
    CKA_KEY_TYPE: 'CKK_RSA',
    CKA_TOKEN: true,
    CKA_PRIVATE: false,
    CKA_LABEL: label,
    CKA_ID: encodeKeyId(id),
    CKA_SIGN: true,
    CKA_SENSITIVE: false,
    CKA_MODULUS: bytes(n),
    CKA_PUBLIC_EXPONENT: bytes(e),
    CKA_PRIVATE_EXPONENT: bytes(d),
    CKA_PRIME_1: bytes(p),
    CKA_PRIME_2: bytes(q),
    CKA_EXPONENT_1: bytes(dp),
    CKA_EXPONENT_2: bytes(dq),
    CKA_COEFFICIENT: bytes(qi),
  })
}

function plantSecretKey(label: string, id: string): void {
  plant(Buffer.alloc(32), '--type', 'secrkey', '--key-type', 'AES:32', '--label', label, '--id', id)
}

/** A token for everything, signed by a key whose public half lies on the HSM. */
async function forged(): Promise<string> {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
  const { kty, n, e } = intruder.publicKey.export({ format: 'jwk' })
  const kid = await calculateJwkThumbprint({ kty: kty!, n: n!, e: e! })
  const now = Math.floor(Date.now() / 1000)
  const who = { iss: 'ssm-service', sub: 'webconsole', aud: 'ssm-clients', jti: 'forged', ver: 1 }
  const text = `${encode({ alg: 'RS256', typ: 'JWT', kid })}.${encode({ ...who, iat: now, nbf: now, exp: now + 60 })}`
  return `${text}.${sign('RSA-SHA256', Buffer.from(text), intruder.privateKey).toString('base64url')}`
}

beforeAll(async () => {
  // before the service's own keys are made, and again after
  for (const label of ['JWT_SIGNING_KEY', AUDIT_KEY_LABEL]) plantPublicKey(intruder.publicKey, label, '00000001')
  plantSecretKey('ENCRYPTION_KEY_INTERNAL_AES256', '00000001')
  harness = await startAuthHarness(hsm)
  for (const label of ['JWT_SIGNING_KEY', AUDIT_KEY_LABEL]) plantPublicKey(intruder.publicKey, label)
  webconsole = await harness.token('webconsole', await harness.add('webconsole', 'webconsole'))
})
afterAll(() => harness.close())

describe('an object that was put on the token without its PIN', () => {
  it('verifies no token, and does not keep the service from signing its own', async () => {
    expect((await harness.ask('GET', '/crypto/health-check', webconsole)).status).toBe(200)
    expect((await harness.ask('GET', '/crypto/health-check', await forged())).status).toBe(401)
    const { keys } = (await harness.ask('GET', '/.well-known/jwks.json')).body
    expect(keys).toEqual([expect.objectContaining({ kid: decodeProtectedHeader(webconsole).kid })])
  })

  it('does not stand in the way of signing by being a private key that is no private object', async () => {
    for (const label of ['JWT_SIGNING_KEY', AUDIT_KEY_LABEL]) {
      for (const id of [1, 0x7fff_ffff]) await plantPrivateKey(intruder.privateKey, label, id)
    }
    harness.client.keys.forget()
    const token = await harness.token('beside', await harness.add('beside', 'udm'))
    expect((await harness.ask('GET', '/crypto/health-check', token)).status).toBe(200)
    const signed = await new AuditSigner(harness.client).sign({ seq: 2 })
    expect(
      openStatement(
        signed,
        await auditKeysOf((await readPublicKeys(harness.client, AUDIT_KEY_LABEL)).map(({ jwk }) => jwk)),
      ),
    ).toMatchObject({ seq: 2 })
  })

  it('does not keep the service’s own keys from being made', async () => {
    const own = await harness.client.withSession((session) =>
      session.findObjects({ CKA_LABEL: 'ENCRYPTION_KEY_INTERNAL_AES256', CKA_PRIVATE: true }),
    )
    expect(own).toHaveLength(1)
  })

  it('signs no audit', async () => {
    const signed = await new AuditSigner(harness.client).sign({ seq: 1 })
    const keys = await readPublicKeys(harness.client, AUDIT_KEY_LABEL)
    expect(keys.map(({ id }) => id)).toEqual([1])
    expect(openStatement(signed, await auditKeysOf(keys.map(({ jwk }) => jwk)))).toMatchObject({ seq: 1 })
  })

  it('is no head of the audit', async () => {
    plant(Buffer.from('{"chain":"main"}'), '--type', 'data', '--label', 'AUDIT_HEAD', '--application-label', 'ssm main')
    expect(await readAnchors(harness.client)).toEqual([])
  })

  it('encrypts nothing, and is listed nowhere, whose value somebody knows', async () => {
    plantSecretKey(OWN_LABEL, '00000009')
    const ask = (path: string, body: object) => harness.ask('POST', path, webconsole, body)
    const encrypt = { key_label: OWN_LABEL, plain: 'c0ffee', encryption_algorithm: 5 }
    for (const path of ['/crypto/encrypt', '/encrypt']) expect((await ask(path, encrypt)).status).toBe(404)
    const sealed = { key_label: OWN_LABEL, id: 9, cipher: '00', iv: '00'.repeat(12), tag: '00'.repeat(16) }
    expect((await ask('/crypto/decrypt-aes-gcm', sealed)).body.error).toBe('KEY_NOT_FOUND')

    expect((await ask('/crypto/generate-aes-key', { id: 0, bits: 256 })).body.id).toBe(1)
    for (const path of ['/crypto/encrypt', '/encrypt', '/crypto/encrypt', '/encrypt', '/crypto/encrypt', '/encrypt'])
      expect((await ask(path, encrypt)).body.id).toBe(1)
    const own = { handle: expect.any(Number), id: 1, size_bits: 256 }
    expect((await ask('/crypto/get-data-keys', { key_label: OWN_LABEL })).body.keys).toEqual([own])
    expect((await ask('/crypto/get-all-keys', {})).body.keys_by_label).toEqual({ [OWN_LABEL]: [own] })
  })

  it('decrypts where it is a SIM’s maker’s: tools that put those on a token make not all of them private', async () => {
    plantSecretKey('K4_AES', '00000007')
    const cipher = createCipheriv('aes-256-ecb', Buffer.alloc(32), null).setAutoPadding(false)
    const body = { key_label: 'K4_AES', id: 7, encryption_algorithm: 1, cipher: '' }
    body.cipher = Buffer.concat([cipher.update(Buffer.alloc(16, 5)), cipher.final()]).toString('hex')
    expect((await harness.ask('POST', '/crypto/decrypt', webconsole, body)).body).toMatchObject({
      plain: '05'.repeat(16),
    })
    expect((await harness.ask('POST', '/crypto/get-key', webconsole, { key_label: 'K4_AES', id: 7 })).status).toBe(200)
  })

  it('gets no copy of a key that is stored', async () => {
    plantSecretKey('SSM_ENC_KEY', '00000001')
    const key = { key_label: 'K4_AES', id: 1, key_value: 'ab'.repeat(16), key_type: 'AES' }
    expect((await harness.ask('POST', '/crypto/store-key', webconsole, key)).body).toMatchObject({ cipher_key: '' })
  })

  it('is told to the operator, who may miss a key of his own', async () => {
    const lines: string[] = []
    const token = { pkcsPath: hsm.module, token: { serial: hsm.serial }, pin: { file: hsm.pinFile } }
    const log = (line: string) => lines.push(line)
    const server = await startServer({ ...token, bindAddr: '127.0.0.1:0' }, { authentication: 'none', log })
    await server.close()
    expect(lines).toEqual([expect.stringMatching(/^ssm: the token has 3 secret keys that are no private objects/)])
  })

  it('does not stand in the way of a key with the same label and id', async () => {
    const ask = (path: string, body: object) => harness.ask('POST', path, webconsole, body)
    const made = { key_label: OWN_LABEL, plain: 'c0ffee', encryption_algorithm: 5 }
    const { cipher, iv } = (await ask('/crypto/encrypt', made)).body
    const value = Buffer.alloc(16, 7)
    const stored = { key_label: 'K4_AES', id: 8, key_value: value.toString('hex'), key_type: 'AES' }
    expect((await ask('/crypto/store-key', stored)).status).toBe(201)
    for (const id of ['00000001', '01']) plantSecretKey(OWN_LABEL, id)
    for (const id of ['00000008', '08']) plantSecretKey('K4_AES', id)
    harness.client.keys.forget()

    const own = { key_label: OWN_LABEL, id: 1, cipher, iv, encryption_algorithm: 5 }
    expect((await ask('/crypto/decrypt', own)).body).toMatchObject({ plain: 'c0ffee' })
    const sealed = createCipheriv('aes-128-ecb', value, null).setAutoPadding(false)
    const external = { key_label: 'K4_AES', id: 8, encryption_algorithm: 2, cipher: '' }
    external.cipher = Buffer.concat([sealed.update(Buffer.alloc(16, 5)), sealed.final()]).toString('hex')
    expect((await ask('/crypto/decrypt', external)).body).toMatchObject({ plain: '05'.repeat(16) })
    const { keys } = (await ask('/crypto/get-data-keys', { key_label: 'K4_AES' })).body as { keys: { id: number }[] }
    expect(keys.map(({ id }) => id)).toEqual([1, 7, 8])
  })

  it('does not take the place of a key that another process has destroyed', async () => {
    const label = 'KEY_ENCRYPTION_AES128'
    const ask = (path: string, body: object) => harness.ask('POST', path, webconsole, body)
    expect((await ask('/crypto/generate-aes-key', { id: 1, bits: 128 })).body).toMatchObject({ id: 1 })
    const encrypt = { key_label: label, plain: 'c0ffee', encryption_algorithm: 6 }
    expect((await ask('/crypto/encrypt', encrypt)).status).toBe(201)
    pkcs11Tool(hsm, ['--delete-object', '--type', 'secrkey', '--label', label, '--id', '00000001'])
    plantSecretKey(label, '00000001')
    // SoftHSM goes on with a key that another process has destroyed while its handle is known
    harness.client.keys.forget()
    expect((await ask('/crypto/encrypt', encrypt)).body.error).toBe('KEY_NOT_FOUND')
  })

  it('is no signing key that a rotation would have to keep', async () => {
    const rotation = await rotateSigningKey(harness.client, harness.store, { revoke: true })
    expect(rotation).toEqual({ made: 2, kept: [], removed: [1] })
  })
})
