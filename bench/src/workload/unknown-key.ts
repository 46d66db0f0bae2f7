import { readFileSync } from 'node:fs'
import pkcs11js from 'pkcs11js'
import type { TokenPlace } from '../crypto/token.js'
import { OWN_LABEL, type Sealed } from './material.js'

/** An answer that only the key on the token can prove. */
export interface Claim {
  sealed: Sealed
  /** what it must decrypt to, in hex; undefined where it must not decrypt */
  plain: string | undefined
}

/**
 * Proves answers that were made by a key of the token which nobody knows, by decrypting on the token without the service or its library:
 * through pkcs11js. Gives those that are wrong.
 */
export function disprove(place: TokenPlace, id: number, claims: readonly Claim[]): Claim[] {
  if (claims.length === 0) return []
  process.env.SOFTHSM2_CONF = place.env.SOFTHSM2_CONF
  const p11 = new pkcs11js.PKCS11()
  p11.load(place.module)
  p11.C_Initialize({ flags: pkcs11js.CKF_OS_LOCKING_OK })
  const slot = p11.C_GetSlotList(true).find((handle) => p11.C_GetTokenInfo(handle).label.trim() === place.label)
  if (slot === undefined) throw new Error(`no token is labelled ${place.label}`)
  const session = p11.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION)
  p11.C_Login(session, pkcs11js.CKU_USER, readFileSync(place.pinFile, 'utf8').trim())
  const ckaId = Buffer.alloc(4)
  ckaId.writeUInt32BE(id)
  p11.C_FindObjectsInit(session, [
    { type: pkcs11js.CKA_LABEL, value: OWN_LABEL },
    { type: pkcs11js.CKA_ID, value: ckaId },
  ])
  const key = p11.C_FindObjects(session)
  p11.C_FindObjectsFinal(session)
  if (key === null) throw new Error(`the token has no ${OWN_LABEL} with id ${id}`)

  const decrypt = ({ cipher, iv, tag }: Claim['sealed']): string | undefined => {
    const bytes = Buffer.from(cipher + (tag ?? ''), 'hex')
    try {
      p11.C_DecryptInit(session, mechanismOf(Buffer.from(iv, 'hex'), tag), key)
      return p11.C_Decrypt(session, bytes, Buffer.alloc(bytes.length)).toString('hex')
    } catch {
      return undefined
    }
  }
  const wrong = claims.filter(({ sealed, plain }) => decrypt(sealed) !== plain)
  p11.C_Finalize()
  return wrong
}

function mechanismOf(iv: Buffer, tag: string | undefined): pkcs11js.Mechanism {
  if (tag === undefined) return { mechanism: pkcs11js.CKM_AES_CBC_PAD, parameter: iv }
  const parameter = { type: pkcs11js.CK_PARAMS_AES_GCM, iv, ivBits: iv.length * 8, tagBits: tag.length * 4 }
  return { mechanism: pkcs11js.CKM_AES_GCM, parameter }
}
