import { createClient } from 'pkcs11-pool'
import { useSoftHsmToken } from 'testkit/vitest'
import { expect, it, onTestFinished } from 'vitest'
import { AUDIT_KEY_LABEL, AuditSigner, auditKeysOf, openStatement } from '../../src/audit/signer.js'
import { readPublicKeys, SigningKeys } from '../../src/auth/signing-keys.js'
import { createServiceKeys } from '../../src/init/token-keys.js'

const hsm = useSoftHsmToken({
  keys: [
    { label: AUDIT_KEY_LABEL, id: 1, type: 'ec-p256' },
    { label: 'JWT_SIGNING_KEY', id: 7, type: 'ec-p256' },
  ],
})

it('keys of another kind under the service’s labels stay, and those that it signs with are made beside them', async () => {
  const client = await createClient({ module: hsm.module, token: { label: hsm.label }, pin: { file: hsm.pinFile } })
  await createServiceKeys(client)
  // nothing is made a second time
  await createServiceKeys(client)

  const keys = await readPublicKeys(client, AUDIT_KEY_LABEL)
  expect(keys.map(({ id }) => id)).toEqual([2])
  const signed = await new AuditSigner(client).sign({ seq: 1 })
  expect(openStatement(signed, await auditKeysOf(keys.map(({ jwk }) => jwk)))).toMatchObject({ seq: 1 })
  const signing = new SigningKeys(client)
  expect(await signing.publicKeys()).toHaveLength(1)
  expect(await signing.sign((kid) => kid)).toMatch(/^[\w-]{43}\.[\w-]+$/)
  expect((await readPublicKeys(client, 'JWT_SIGNING_KEY')).map(({ id }) => id)).toEqual([8])
  expect(await client.keys.find({ class: 'CKO_PRIVATE_KEY' })).toHaveLength(4)
  await client.close()
})

it('a signing key that was revoked while nobody asked verifies nothing more', async () => {
  const client = await createClient({ module: hsm.module, token: { label: hsm.label }, pin: { file: hsm.pinFile } })
  onTestFinished(async () => void (await client.close()))
  await createServiceKeys(client)
  let now = 0
  const signing = new SigningKeys(client, () => now)
  const [key] = await signing.publicKeys()
  const kid = key?.kid ?? ''
  expect(await signing.find(kid)).toBeDefined()
  for (const { id } of await client.keys.find({ label: 'JWT_SIGNING_KEY', class: 'CKO_PRIVATE_KEY' })) {
    if (id.length === 4 && id.readUInt32BE() === 8)
      await client.keys.destroy({ label: 'JWT_SIGNING_KEY', class: 'CKO_PRIVATE_KEY', id })
  }
  now += 3_600_000
  const answers = await Promise.allSettled([1, 2, 3].map(() => signing.find(kid)))
  expect(answers.filter((answer) => answer.status === 'fulfilled' && answer.value !== undefined)).toEqual([])
})
