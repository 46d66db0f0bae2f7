import { Operation, type PackedMechanism, type PackedTemplate } from '../pkcs11/protocol.js'
import type { ObjectHandle } from './arguments.js'
import { type CallContext, withMechanism } from './call-context.js'

/** The handles of a key pair. */
export interface KeyPairHandles {
  publicKey: ObjectHandle
  privateKey: ObjectHandle
}

// PKCS#11 2.40, "Key management functions". Never repeated by the library, since they make keys.

/** C_GenerateKey. */
export function generateKey(
  context: CallContext,
  mechanism: PackedMechanism,
  template: PackedTemplate,
): Promise<ObjectHandle> {
  return run(context, Operation.GENERATE_KEY, mechanism, template) as Promise<ObjectHandle>
}

/** C_GenerateKeyPair. */
export async function generateKeyPair(
  context: CallContext,
  mechanism: PackedMechanism,
  publicTemplate: PackedTemplate,
  privateTemplate: PackedTemplate,
): Promise<KeyPairHandles> {
  const pair = await run(context, Operation.GENERATE_KEY_PAIR, mechanism, publicTemplate, privateTemplate)
  const [publicKey, privateKey] = pair as [ObjectHandle, ObjectHandle]
  return { publicKey, privateKey }
}

/** C_WrapKey: `key` encrypted under `wrappingKey`. */
export function wrapKey(
  context: CallContext,
  mechanism: PackedMechanism,
  wrappingKey: ObjectHandle,
  key: ObjectHandle,
): Promise<Buffer> {
  return run(context, Operation.WRAP_KEY, mechanism, wrappingKey, key) as Promise<Buffer>
}

/** C_UnwrapKey. */
export function unwrapKey(
  context: CallContext,
  mechanism: PackedMechanism,
  unwrappingKey: ObjectHandle,
  wrapped: Uint8Array,
  template: PackedTemplate,
): Promise<ObjectHandle> {
  return run(context, Operation.UNWRAP_KEY, mechanism, unwrappingKey, wrapped, template) as Promise<ObjectHandle>
}

/** C_DeriveKey. */
export function deriveKey(
  context: CallContext,
  mechanism: PackedMechanism,
  baseKey: ObjectHandle,
  template: PackedTemplate,
): Promise<ObjectHandle> {
  return run(context, Operation.DERIVE_KEY, mechanism, baseKey, template) as Promise<ObjectHandle>
}

function run(
  context: CallContext,
  operation: Operation,
  mechanism: PackedMechanism,
  ...args: unknown[]
): Promise<unknown> {
  const call = withMechanism(context, mechanism)
  return context.engine.run(operation, context.session, call, mechanism, ...args)
}
