// The new way: one client for the program's life. It keeps sessions, the login and the key's handle; a request is one call of the token's.
import { createClient } from 'pkcs11-pool'

export async function pooled({ module, label, pin }) {
  process.env.HSM_PIN = pin
  const client = await createClient({ module, token: { label }, pin: { env: 'HSM_PIN' } })

  const encrypt = (keyLabel, iv, plain) =>
    client.encrypt({ label: keyLabel }, { mechanism: 'CKM_AES_CBC_PAD', iv }, plain)

  return { encrypt, close: () => client.close() }
}
