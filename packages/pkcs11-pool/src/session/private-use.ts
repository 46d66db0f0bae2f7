import { CryptokiError } from '../errors.js'
import type { Operation, PackedMechanism } from '../pkcs11/protocol.js'
import type { ObjectHandle } from './arguments.js'
import { type CallContext, nextCall, withMechanism } from './call-context.js'
import { getAttributes } from './objects.js'

/** One use of a private or secret key, in one hop: with a login of its own between Init and the data where the key wants one. */
export function runWithKey(
  context: CallContext,
  operation: typeof Operation.SIGN | typeof Operation.DECRYPT,
  key: ObjectHandle,
  mechanism: PackedMechanism,
  data: Uint8Array,
): Promise<Buffer> {
  const { engine, login } = context
  const run = (call: CallContext, ...pin: unknown[]): Promise<Buffer> =>
    engine.run(operation, call.session, withMechanism(call, mechanism), mechanism, key, data, ...pin) as Promise<Buffer>
  return login.wantsPin(key) ? login.withPin(context, run) : run(context)
}

/**
 * A use of a key that its caller knows by handle alone. Whether it wants the PIN for each use shows then by its first being refused: it is
 * looked at, and used once more.
 */
export async function useByHandle<R>(
  context: CallContext,
  key: ObjectHandle,
  use: (context: CallContext) => Promise<R>,
): Promise<R> {
  try {
    return await use(context)
  } catch (error) {
    const mayWantPin = error instanceof CryptokiError && error.category === 'login' && !context.login.wantsPin(key)
    if (!mayWantPin) throw error
    const found = await getAttributes(nextCall(context), key, ['CKA_ALWAYS_AUTHENTICATE']).catch(() => undefined)
    if (found?.CKA_ALWAYS_AUTHENTICATE !== true) throw error
    context.login.noteKey(key, true)
    return use(nextCall(context))
  }
}
