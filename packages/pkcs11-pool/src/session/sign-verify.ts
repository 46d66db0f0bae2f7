import { CryptokiError } from '../errors.js'
import { Operation, type PackedMechanism } from '../pkcs11/protocol.js'
import { RETURN_VALUES } from '../pkcs11/return-values.js'
import type { ObjectHandle } from './arguments.js'
import { type CallContext, withMechanism } from './call-context.js'
import { runWithKey } from './private-use.js'

/** C_SignInit and C_Sign in one hop (PKCS#11 2.40, "Signing and MACing functions"). */
export function sign(
  context: CallContext,
  key: ObjectHandle,
  mechanism: PackedMechanism,
  data: Uint8Array,
): Promise<Buffer> {
  return runWithKey(context, Operation.SIGN, key, mechanism, data)
}

/** C_VerifyInit and C_Verify in one hop ("Functions for verifying signatures and MACs"): false for a signature that is not the key's. */
export async function verify(
  context: CallContext,
  key: ObjectHandle,
  mechanism: PackedMechanism,
  data: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  const call = withMechanism(context, mechanism)
  try {
    await context.engine.run(Operation.VERIFY, context.session, call, mechanism, key, data, signature)
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

/** C_DigestInit and C_Digest in one hop ("Message digesting functions"). */
export function digest(context: CallContext, mechanism: PackedMechanism, data: Uint8Array): Promise<Buffer> {
  const call = withMechanism(context, mechanism)
  return context.engine.run(Operation.DIGEST, context.session, call, mechanism, data) as Promise<Buffer>
}
