import pkcs11js from 'pkcs11js'
import { createWrappedModule, type SoftHsmToken, type WrappedModule } from 'testkit'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, afterEach } from 'vitest'
import { type Client, type ClientOptions, createClient, type Template } from '../../src/index.js'

/** A SoftHSM token of the test file's own, behind a module that misbehaves on demand. */
export interface WrappedToken {
  token: SoftHsmToken
  module: WrappedModule
  /** A client of the token, closed after the test. */
  open(options?: Partial<ClientOptions>): Promise<Client>
}

/** After each test every rule is lifted and every client closed, whatever the test did. */
export function useWrappedToken(keys: Parameters<SoftHsmToken['createKeys']>[0] = []): WrappedToken {
  const token = useSoftHsmToken({ keys })
  const module = createWrappedModule(token)
  const clients: Client[] = []
  afterEach(async () => {
    module.clear()
    await Promise.all(clients.splice(0).map((client) => client.close()))
  })
  afterAll(() => module.remove())
  return {
    token,
    module,
    async open(options = {}) {
      const client = await createClient({
        module: module.module,
        token: { label: token.label },
        pin: { file: token.pinFile },
        ...options,
      })
      clients.push(client)
      return client
    },
  }
}

/** The token ends all sessions of this process, and the login with them, as one does that was restarted; or the login alone. */
export function dropAllSessions(
  { token, module }: WrappedToken,
  by: 'C_CloseAllSessions' | 'C_Logout' = 'C_CloseAllSessions',
): void {
  // A module that is loaded twice is one to PKCS#11: its sessions are those of the process.
  const other = new pkcs11js.PKCS11()
  other.load(module.module)
  const slot = other.C_GetSlotList(true).find((each) => other.C_GetTokenInfo(each).label.trim() === token.label)
  if (slot === undefined) throw new Error('the token is not there')
  if (by === 'C_CloseAllSessions') return other.C_CloseAllSessions(slot)
  const session = other.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION)
  other.C_Logout(session)
  other.C_CloseSession(session)
}

/** An AES key whose value the test knows. */
export function aesKey(label: string, id: number, value: Uint8Array): Template {
  return {
    CKA_CLASS: 'CKO_SECRET_KEY',
    CKA_KEY_TYPE: 'CKK_AES',
    CKA_LABEL: label,
    CKA_ID: id,
    CKA_TOKEN: true,
    CKA_PRIVATE: true,
    CKA_ENCRYPT: true,
    CKA_DECRYPT: true,
    CKA_VALUE: value,
  }
}
