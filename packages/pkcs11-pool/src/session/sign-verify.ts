import { CryptokiError } from '../errors.js'
import type { Mechanism } from '../pkcs11/mechanisms.js'
import { packMechanism } from '../pkcs11/mechanisms.js'
import { Operation } from '../pkcs11/protocol.js'
import { RETURN_VALUES } from '../pkcs11/return-values.js'
import { type ObjectHandle, toBytes } from './arguments.js'
import { type CallContext, withMechanism } from './call-context.js'

/** C_SignInit and C_Sign in one hop (PKCS#11 2.40 section 5.11). */
export function sign(context: CallContext, key: ObjectHandle, mechanism: Mechanism, data: Uint8Array): Promise<Buffer> {
  const packed = packMechanism(mechanism)
  return context.engine.run(
    Operation.SIGN,
    context.session,
    withMechanism(context, mechanism),
    packed,
    key,
    toBytes(data, 'data'),
  ) as Promise<Buffer>
}

/** C_VerifyInit and C_Verify in one hop (PKCS#11 2.40 section 5.12): false for a signature that is not the key's. */
export async function verify(
  context: CallContext,
  key: ObjectHandle,
  mechanism: Mechanism,
  data: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  const packed = packMechanism(mechanism)
  const bytes = toBytes(data, 'data')
  try {
    await context.engine.run(
      Operation.VERIFY,
      context.session,
      withMechanism(context, mechanism),
      packed,
      key,
      bytes,
      toBytes(signature, 'signature'),
    )
    return true
  } catch (error) {
    if (error instanceof CryptokiError && saysInvalidSignature(error.rv)) return false
    throw error
  }
}

/** Whether a CK_RV of C_Verify is an answer rather than a failure. */
export function saysInvalidSignature(rv: number): boolean {
  return rv === RETURN_VALUES.CKR_SIGNATURE_INVALID.rv || rv === RETURN_VALUES.CKR_SIGNATURE_LEN_RANGE.rv
}

/** C_DigestInit and C_Digest in one hop (PKCS#11 2.40 section 5.10). */
export function digest(context: CallContext, mechanism: Mechanism, data: Uint8Array): Promise<Buffer> {
  const packed = packMechanism(mechanism)
  return context.engine.run(
    Operation.DIGEST,
    context.session,
    withMechanism(context, mechanism),
    packed,
    toBytes(data, 'data'),
  ) as Promise<Buffer>
}
