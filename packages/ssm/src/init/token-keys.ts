import type { Client } from 'pkcs11-pool'
import { AUDIT_KEY_LABEL } from '../audit/signer.js'
import { JWT_KEY_LABEL, readPublicKeys } from '../auth/signing-keys.js'
import { decodeKeyId, encodeKeyId } from '../hsm/key-id.js'
import { GUARDED } from '../hsm/unguarded-keys.js'

const INTERNAL_KEY_LABEL = 'ENCRYPTION_KEY_INTERNAL_AES256'

const MODULUS_BITS = 2048
/** Making an RSA key takes an HSM seconds. */
const KEY_TIMEOUT_MS = 60_000

/** Makes the keys that the service itself needs. Those that are there already stay. */
export async function createServiceKeys(client: Client): Promise<void> {
  for (const label of [JWT_KEY_LABEL, AUDIT_KEY_LABEL]) {
    if ((await readPublicKeys(client, label)).length === 0) await createSigningKey(client, label)
  }
  if (!(await hasInternalKey(client))) await createInternalKey(client)
}

/**
 * Makes an RSA pair whose private half signs and never leaves the token. RSA also for the audit, which P-256 would do for: tokens for
 * clients need it, so every token that will do has it.
 *
 * @returns its id, one above all that are there, of whatever kind: it is the newest, and a signature names one key
 */
export async function createSigningKey(client: Client, label: string): Promise<number> {
  const taken = await client.keys.find({ label, class: 'CKO_PRIVATE_KEY', private: true })
  const id = Math.max(0, ...taken.map((key) => decodeKeyId(key.id)?.id ?? 0)) + 1
  const common = { CKA_TOKEN: true, CKA_LABEL: label, CKA_ID: encodeKeyId(id) }
  await client.keys.generatePair(
    'CKM_RSA_PKCS_KEY_PAIR_GEN',
    {
      ...common,
      CKA_PRIVATE: false,
      CKA_VERIFY: true,
      CKA_MODULUS_BITS: MODULUS_BITS,
      CKA_PUBLIC_EXPONENT: Buffer.from([1, 0, 1]),
    },
    { ...common, CKA_PRIVATE: true, CKA_SENSITIVE: true, CKA_EXTRACTABLE: false, CKA_SIGN: true },
    { timeoutMs: KEY_TIMEOUT_MS },
  )
  return id
}

async function createInternalKey(client: Client): Promise<void> {
  await client.keys.generate('CKM_AES_KEY_GEN', {
    CKA_CLASS: 'CKO_SECRET_KEY',
    CKA_KEY_TYPE: 'CKK_AES',
    CKA_VALUE_LEN: 32,
    CKA_LABEL: INTERNAL_KEY_LABEL,
    CKA_ID: encodeKeyId(1),
    CKA_TOKEN: true,
    CKA_PRIVATE: true,
    CKA_SENSITIVE: true,
    CKA_EXTRACTABLE: false,
    CKA_ENCRYPT: true,
    CKA_DECRYPT: true,
  })
}

/** Whether the key is there, and not one that somebody without the PIN put there. */
async function hasInternalKey(client: Client): Promise<boolean> {
  const template = { ...GUARDED, CKA_LABEL: INTERNAL_KEY_LABEL }
  return (await client.withSession((session) => session.findObjects(template))).length > 0
}
