import { createClient } from 'pkcs11-pool'
import { useSoftHsmToken } from 'testkit/vitest'
import { expect, it } from 'vitest'
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
