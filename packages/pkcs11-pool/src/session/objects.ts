import { Operation } from '../pkcs11/protocol.js'
import {
  type AttributeName,
  type AttributeValues,
  attributeType,
  decodeAttribute,
  packTemplate,
  type Template,
} from '../pkcs11/templates.js'
import type { ObjectHandle } from './arguments.js'
import type { CallContext } from './call-context.js'

/** How many objects one find answers unless asked for another number. */
const MOST_FOUND = 100_000

/** Sends a packed template and wipes it: it may hold a key's value. */
export function withTemplate<R>(template: Template, send: (packed: Uint8Array) => R): R {
  const packed = packTemplate(template)
  try {
    return send(packed)
  } finally {
    packed.fill(0)
  }
}

/** C_FindObjectsInit, C_FindObjects until there are no more, C_FindObjectsFinal, in one hop (PKCS#11 2.40 section 5.7). */
export async function findObjects(context: CallContext, filter: Template): Promise<ObjectHandle[]> {
  const found = await find(context, filter, MOST_FOUND, null)
  return found.map(([handle]) => handle)
}

/** Finds objects and reads attributes of each, in one hop. */
export async function find(
  context: CallContext,
  filter: Template,
  most: number,
  types: readonly (number | bigint)[] | null,
): Promise<[ObjectHandle, (Buffer | null)[]][]> {
  const flat = (await withTemplate(filter, (packed) =>
    context.engine.run(Operation.FIND, context.session, context, packed, most, types),
  )) as (ObjectHandle | (Buffer | null)[] | null)[]
  const pairs: [ObjectHandle, (Buffer | null)[]][] = []
  for (let at = 0; at < flat.length; at += 2) {
    pairs.push([flat[at] as ObjectHandle, (flat[at + 1] ?? []) as (Buffer | null)[]])
  }
  return pairs
}

/** C_GetAttributeValue, by attribute type and undecoded. */
export async function readAttributes(
  context: CallContext,
  object: ObjectHandle,
  types: readonly number[],
): Promise<(Buffer | null)[]> {
  const values = await context.engine.run(Operation.GET_ATTRIBUTES, context.session, context, object, types)
  return values as (Buffer | null)[]
}

/**
 * C_GetAttributeValue, sizes first and then values, in one hop. An attribute that the object does not have or that must not leave
 * the token is undefined.
 */
export async function getAttributes<N extends AttributeName>(
  context: CallContext,
  object: ObjectHandle,
  names: readonly N[],
): Promise<Pick<AttributeValues, N>> {
  const values = await readAttributes(context, object, names.map(attributeType))
  const attributes: Partial<AttributeValues> = {}
  for (const [at, name] of names.entries()) attributes[name] = decodeAttribute(name, values[at] ?? null)
  return attributes as Pick<AttributeValues, N>
}

/** C_SetAttributeValue. Never repeated by the library: after a timeout, look at the object. */
export async function setAttributes(context: CallContext, object: ObjectHandle, template: Template): Promise<void> {
  await withTemplate(template, (packed) =>
    context.engine.run(Operation.SET_ATTRIBUTES, context.session, context, object, packed),
  )
}

/** C_CreateObject. Never repeated by the library. */
export function createObject(context: CallContext, template: Template): Promise<ObjectHandle> {
  return withTemplate(template, (packed) =>
    context.engine.run(Operation.CREATE_OBJECT, context.session, context, packed),
  ) as Promise<ObjectHandle>
}

/** C_CopyObject, with what the copy shall have differently. Never repeated by the library. */
export function copyObject(context: CallContext, object: ObjectHandle, template: Template): Promise<ObjectHandle> {
  return withTemplate(template, (packed) =>
    context.engine.run(Operation.COPY_OBJECT, context.session, context, object, packed),
  ) as Promise<ObjectHandle>
}

/** C_DestroyObject. Never repeated by the library. */
export async function destroyObject(context: CallContext, object: ObjectHandle): Promise<void> {
  await context.engine.run(Operation.DESTROY_OBJECT, context.session, context, object)
}
