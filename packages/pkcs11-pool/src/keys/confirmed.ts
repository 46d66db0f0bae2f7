import { CryptokiError } from '../errors.js'
import { cryptokiError } from '../pkcs11/cryptoki-error.js'
import { RETURN_VALUES } from '../pkcs11/return-values.js'
import type { ObjectHandle } from '../session/arguments.js'
import { type CallContext, nextCall } from '../session/call-context.js'
import { readKey } from '../session/find-key.js'
import { describeReference, type KeyReference, type KeyUse, matches, serves } from '../session/key-reference.js'

/** What a handle is meant to be of. */
export interface Meant {
  readonly reference: KeyReference
  readonly use: KeyUse
}

/** Whether a handle is of a key that is meant: it may be gone, or another object's by now. */
export async function isMeant(context: CallContext, handle: ObjectHandle, { reference, use }: Meant): Promise<boolean> {
  try {
    const key = await readKey(context, handle)
    return key !== undefined && serves(use, key.class) && matches(reference, key)
  } catch (error) {
    if (refusedHandle(error)) return false
    throw error
  }
}

/**
 * Makes a call with a key, and looks at what its handle is of afterwards: a handle that was another key's by then may have been so in the
 * call, and what that answered, a failure too, is not told. Before the call it could only be seen that it was right then.
 *
 * @throws CRYPTOKI with CKR_KEY_HANDLE_INVALID, as from a token that does not give handles out again; what the call throws
 */
export async function confirmed<R>(
  context: CallContext,
  handle: ObjectHandle,
  meant: Meant,
  call: () => Promise<R>,
): Promise<R> {
  const answered = await call().then(
    (result) => ({ result }),
    (error: unknown) => ({ error }),
  )
  if ('result' in answered) {
    if (await isMeant(nextCall(context), handle, meant)) return answered.result
  } else {
    const { error } = answered
    const saysNothing = !(error instanceof CryptokiError) || refusedHandle(error) || context.session.lost
    if (saysNothing || (await isMeant(nextCall(context), handle, meant).catch(() => true))) throw error
  }
  throw notMeant(meant)
}

/** The handle of a key that was meant is another's. */
export function notMeant({ reference }: Meant): CryptokiError {
  return cryptokiError(RETURN_VALUES.CKR_KEY_HANDLE_INVALID.rv, 'C_GetAttributeValue', describeReference(reference))
}

/** The key's handle is not one, or not any more: nothing was done with any key. */
export function refusedHandle(error: unknown): boolean {
  return error instanceof CryptokiError && isRefusedHandle(error.rv)
}

export function isRefusedHandle(rv: number): boolean {
  return rv === RETURN_VALUES.CKR_KEY_HANDLE_INVALID.rv || rv === RETURN_VALUES.CKR_OBJECT_HANDLE_INVALID.rv
}
