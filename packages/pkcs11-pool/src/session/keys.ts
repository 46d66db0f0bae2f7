import type { Mechanism } from '../pkcs11/mechanisms.js'
import { packMechanism } from '../pkcs11/mechanisms.js'
import { Operation } from '../pkcs11/protocol.js'
import type { Template } from '../pkcs11/templates.js'
import { type ObjectHandle, toBytes } from './arguments.js'
import { type CallContext, withMechanism } from './call-context.js'
import { withTemplate } from './objects.js'

/** The handles of a key pair. */
export interface KeyPairHandles {
  publicKey: ObjectHandle
  privateKey: ObjectHandle
}

/** C_GenerateKey (PKCS#11 2.40 section 5.14). Never repeated by the library, as are all that make a key. */
export function generateKey(context: CallContext, mechanism: Mechanism, template: Template): Promise<ObjectHandle> {
  const packed = packMechanism(mechanism)
  return withTemplate(template, (attributes) =>
    context.engine.run(Operation.GENERATE_KEY, context.session, withMechanism(context, mechanism), packed, attributes),
  ) as Promise<ObjectHandle>
}

/** C_GenerateKeyPair. */
export async function generateKeyPair(
  context: CallContext,
  mechanism: Mechanism,
  publicTemplate: Template,
  privateTemplate: Template,
): Promise<KeyPairHandles> {
  const packed = packMechanism(mechanism)
  const pair = await withTemplate(publicTemplate, (publicAttributes) =>
    withTemplate(privateTemplate, (privateAttributes) =>
      context.engine.run(
        Operation.GENERATE_KEY_PAIR,
        context.session,
        withMechanism(context, mechanism),
        packed,
        publicAttributes,
        privateAttributes,
      ),
    ),
  )
  const [publicKey, privateKey] = pair as [ObjectHandle, ObjectHandle]
  return { publicKey, privateKey }
}

/** C_WrapKey: `key` encrypted under `wrappingKey`. */
export function wrapKey(
  context: CallContext,
  mechanism: Mechanism,
  wrappingKey: ObjectHandle,
  key: ObjectHandle,
): Promise<Buffer> {
  const packed = packMechanism(mechanism)
  return context.engine.run(
    Operation.WRAP_KEY,
    context.session,
    withMechanism(context, mechanism),
    packed,
    wrappingKey,
    key,
  ) as Promise<Buffer>
}

/** C_UnwrapKey. */
export function unwrapKey(
  context: CallContext,
  mechanism: Mechanism,
  unwrappingKey: ObjectHandle,
  wrapped: Uint8Array,
  template: Template,
): Promise<ObjectHandle> {
  const packed = packMechanism(mechanism)
  const bytes = toBytes(wrapped, 'wrapped')
  return withTemplate(template, (attributes) =>
    context.engine.run(
      Operation.UNWRAP_KEY,
      context.session,
      withMechanism(context, mechanism),
      packed,
      unwrappingKey,
      bytes,
      attributes,
    ),
  ) as Promise<ObjectHandle>
}

/** C_DeriveKey. */
export function deriveKey(
  context: CallContext,
  mechanism: Mechanism,
  baseKey: ObjectHandle,
  template: Template,
): Promise<ObjectHandle> {
  const packed = packMechanism(mechanism)
  return withTemplate(template, (attributes) =>
    context.engine.run(
      Operation.DERIVE_KEY,
      context.session,
      withMechanism(context, mechanism),
      packed,
      baseKey,
      attributes,
    ),
  ) as Promise<ObjectHandle>
}
