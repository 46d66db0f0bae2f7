import { randomBytes } from 'node:crypto'
import pkcs11js from 'pkcs11js'

/**
 * Whether this process has any session open on a SoftHSM token, by SoftHSM's own account; false where the module is not initialised
 * in this process. SoftHSM does not report a session count, but it refuses to initialise a token again while one is open, before it
 * looks at the security officer's PIN. That PIN is wrong here, so a token without sessions is not touched either.
 */
export function hasOpenSessions(token: { module: string; slot: number }): boolean {
  const pkcs11 = new pkcs11js.PKCS11()
  pkcs11.load(token.module)
  const slot = Buffer.alloc(8)
  slot.writeBigUInt64LE(BigInt(token.slot))
  try {
    pkcs11.C_InitToken(slot, randomBytes(16).toString('hex'), 'never'.padEnd(32))
  } catch (error) {
    if (!(error instanceof pkcs11js.Pkcs11Error)) throw error
    if (error.code === pkcs11js.CKR_SESSION_EXISTS) return true
    if (error.code === pkcs11js.CKR_PIN_INCORRECT || error.code === pkcs11js.CKR_CRYPTOKI_NOT_INITIALIZED) return false
    throw error
  } finally {
    pkcs11.close()
  }
  throw new Error('SoftHSM initialised a token with a wrong PIN')
}
