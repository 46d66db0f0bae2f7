import type { Operation, PackedMechanism } from '../pkcs11/protocol.js'
import type { ObjectHandle } from './arguments.js'
import { type CallContext, withMechanism } from './call-context.js'

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
