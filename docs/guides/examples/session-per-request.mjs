// The old way: each request initialises the module, opens a session, logs in, finds the key, encrypts, and ends all of it.
import pkcs11js from 'pkcs11js'

const { PKCS11, CKA_CLASS, CKA_LABEL, CKF_SERIAL_SESSION, CKM_AES_CBC_PAD, CKO_SECRET_KEY, CKU_USER } = pkcs11js

export function sessionPerRequest({ module, label, pin }) {
  async function encrypt(keyLabel, iv, plain) {
    const token = new PKCS11()
    token.load(module)
    token.C_Initialize()
    try {
      const slot = token.C_GetSlotList(true).find((each) => token.C_GetTokenInfo(each).label.trim() === label)
      const session = token.C_OpenSession(slot, CKF_SERIAL_SESSION)
      try {
        token.C_Login(session, CKU_USER, pin)
        token.C_FindObjectsInit(session, [
          { type: CKA_CLASS, value: CKO_SECRET_KEY },
          { type: CKA_LABEL, value: keyLabel },
        ])
        const key = token.C_FindObjects(session)
        token.C_FindObjectsFinal(session)
        token.C_EncryptInit(session, { mechanism: CKM_AES_CBC_PAD, parameter: iv }, key)
        return token.C_Encrypt(session, plain, Buffer.alloc(plain.length + 16))
      } finally {
        token.C_CloseSession(session)
      }
    } finally {
      token.C_Finalize()
      token.close()
    }
  }
  return { encrypt, close: async () => {} }
}
