import { Pkcs11PoolError } from '../errors.js'
import { Operation, type PackedTemplate } from '../pkcs11/protocol.js'
import { type AttributeName, type AttributeValues, attributeType, decodeAttribute } from '../pkcs11/templates.js'
import type { ObjectHandle } from './arguments.js'
import type { CallContext } from './call-context.js'

/** How many objects one search answers: with what it reads of each, some gigabytes. */
const MOST_FOUND = 1_000_000

/** C_FindObjectsInit, C_FindObjects until there are no more, C_FindObjectsFinal, in one hop (PKCS#11 2.40, "Object management functions"). */
export async function findObjects(context: CallContext, filter: PackedTemplate): Promise<ObjectHandle[]> {
  const found = await find(context, filter, null)
  return found.map(([handle]) => handle)
}

/** Finds objects and reads attributes of each, in one hop. @throws TOO_MANY_OBJECTS, instead of a part of them */
export async function find(
  context: CallContext,
  filter: PackedTemplate,
  types: readonly (number | bigint)[] | null,
): Promise<[ObjectHandle, (Buffer | null)[]][]> {
  const answer = await context.login.duringLogin(context, (call) =>
    call.engine.run(Operation.FIND, call.session, call, filter, MOST_FOUND + 1, types),
  )
  const flat = answer as (ObjectHandle | (Buffer | null)[] | null)[]
  if (flat.length > 2 * MOST_FOUND) throw tooMany(MOST_FOUND)
  const pairs: [ObjectHandle, (Buffer | null)[]][] = []
  for (let at = 0; at < flat.length; at += 2) {
    pairs.push([flat[at] as ObjectHandle, (flat[at + 1] ?? []) as (Buffer | null)[]])
  }
  return pairs
}

function tooMany(most: number): Pkcs11PoolError {
  return new Pkcs11PoolError(
    'TOO_MANY_OBJECTS',
    `more than ${most} objects match; expected at most so many in one search. narrow it with a label, id or class`,
  )
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
export async function setAttributes(
  context: CallContext,
  object: ObjectHandle,
  template: PackedTemplate,
): Promise<void> {
  await context.engine.run(Operation.SET_ATTRIBUTES, context.session, context, object, template)
}

/** C_CreateObject. Never repeated by the library. */
export function createObject(context: CallContext, template: PackedTemplate): Promise<ObjectHandle> {
  return context.engine.run(Operation.CREATE_OBJECT, context.session, context, template) as Promise<ObjectHandle>
}

/** C_CopyObject, with what the copy shall have differently. Never repeated by the library. */
export function copyObject(
  context: CallContext,
  object: ObjectHandle,
  template: PackedTemplate,
): Promise<ObjectHandle> {
  return context.engine.run(Operation.COPY_OBJECT, context.session, context, object, template) as Promise<ObjectHandle>
}

/** C_DestroyObject. Never repeated by the library. */
export async function destroyObject(context: CallContext, object: ObjectHandle): Promise<void> {
  await context.engine.run(Operation.DESTROY_OBJECT, context.session, context, object)
}
