import pkcs11js from 'pkcs11js'

/** Whether somebody in this process has initialised a token's module and not finalised it. */
export function isInitialized({ module, slot }: { module: string; slot: number }): boolean {
  const pkcs11 = new pkcs11js.PKCS11()
  pkcs11.load(module)
  const id = Buffer.alloc(8)
  id.writeBigUInt64LE(BigInt(slot))
  try {
    // NSS answers C_GetInfo and C_GetSlotList at any time
    pkcs11.C_GetTokenInfo(id)
    return true
  } catch (error) {
    if (error instanceof pkcs11js.Pkcs11Error && error.code === pkcs11js.CKR_CRYPTOKI_NOT_INITIALIZED) return false
    throw error
  } finally {
    pkcs11.close()
  }
}
