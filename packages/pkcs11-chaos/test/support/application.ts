import pkcs11js from 'pkcs11js'
import type { SoftHsmToken } from 'testkit'

/** A program that uses a token through PKCS#11, by hand: this process. */
export interface Application {
  pkcs11: pkcs11js.PKCS11
  slot: Buffer
  open(): Buffer
  login(session: Buffer): void
  /** the handle of the AES key `k` */
  key(session: Buffer): Buffer
  encryptInit(session: Buffer, key: Buffer): void
  encrypt(session: Buffer): Buffer
  random(session: Buffer): void
}

/** Loads a module; C_Initialize is left to the caller. */
export function loadApplication(module: string, token: SoftHsmToken): Application {
  const pkcs11 = new pkcs11js.PKCS11()
  pkcs11.load(module)
  const slot = Buffer.alloc(8)
  slot.writeBigUInt64LE(BigInt(token.slot))
  return {
    pkcs11,
    slot,
    open: () => pkcs11.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION | pkcs11js.CKF_RW_SESSION),
    login: (session) => pkcs11.C_Login(session, pkcs11js.CKU_USER, token.pin),
    key(session) {
      pkcs11.C_FindObjectsInit(session, [{ type: pkcs11js.CKA_LABEL, value: 'k' }])
      const [key] = pkcs11.C_FindObjects(session, 1)
      pkcs11.C_FindObjectsFinal(session)
      if (key === undefined) throw new Error('the token has no key k')
      return key
    },
    encryptInit: (session, key) =>
      pkcs11.C_EncryptInit(session, { mechanism: pkcs11js.CKM_AES_CBC_PAD, parameter: Buffer.alloc(16) }, key),
    encrypt: (session) => pkcs11.C_Encrypt(session, Buffer.from('plain'), Buffer.alloc(32)),
    random: (session) => void pkcs11.C_GenerateRandom(session, Buffer.alloc(4)),
  }
}

/** The name of the value that a call fails with, or CKR_OK. */
export function rvOf(call: () => unknown): string {
  try {
    call()
    return 'CKR_OK'
  } catch (error) {
    if (!(error instanceof pkcs11js.Pkcs11Error)) throw error
    return error.message.split(':')[0] ?? ''
  }
}
