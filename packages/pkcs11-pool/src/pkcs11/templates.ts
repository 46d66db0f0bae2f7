import { Pkcs11PoolError } from '../errors.js'
import { ARRAY_ATTRIBUTE_FLAG, ATTRIBUTES, type AttributeName, NESTED_TEMPLATE_ATTRIBUTES } from './attribute-types.js'
import { ATTRIBUTE_CODECS, type AttributeOutputs, badAttribute } from './attribute-values.js'
import { describeValue } from './describe-value.js'
import { didYouMean, quoted } from './did-you-mean.js'
import { hex32, namesByNumber, ULONG_SIZE } from './numbers.js'
import type { PackedTemplate } from './protocol.js'
import type { Template } from './template.js'
import { MAX_ULONG } from './ulong.js'

export type { AttributeName, Template }

/**
 * What each attribute is read as. Undefined is what the token does not tell: the attribute is sensitive, the object has none, or its
 * number is CK_UNAVAILABLE_INFORMATION.
 */
export type AttributeValues = {
  [Name in AttributeName]: AttributeOutputs[(typeof ATTRIBUTES)[Name]['kind']] | undefined
}

/** Bytes of the count, and before each value; see {@link PackedTemplate}. */
const COUNT_SIZE = 4
const ATTRIBUTE_HEADER_SIZE = 12

const ATTRIBUTE_NAMES = Object.keys(ATTRIBUTES)
const namesByType = namesByNumber({ ...attributeTypes(), ...NESTED_TEMPLATE_ATTRIBUTES })

function attributeTypes(): Record<AttributeName, number> {
  return Object.fromEntries(Object.entries(ATTRIBUTES).map(([name, { type }]) => [name, type])) as Record<
    AttributeName,
    number
  >
}

/**
 * Packs a template for the engine, into memory of its own that the caller may wipe: a template can hold a key's value.
 *
 * @throws `INVALID_ARGUMENT` for an unknown attribute and for a value of the wrong type; it says the type, never the value
 */
export function packTemplate(template: Template, ulongSize: 4 | 8 = ULONG_SIZE): PackedTemplate {
  if (typeof template !== 'object' || template === null || Array.isArray(template) || ArrayBuffer.isView(template)) {
    throw new Pkcs11PoolError(
      'INVALID_ARGUMENT',
      `template is ${describeValue(template)}, expected an object of attributes such as { CKA_LABEL: 'k4' }`,
    )
  }
  const attributes = Object.entries(template).map(([key, value]) => encodeAttribute(key, value, ulongSize))
  const size = attributes.reduce((sum, { bytes }) => sum + ATTRIBUTE_HEADER_SIZE + bytes.length, COUNT_SIZE)
  const packed = Buffer.alloc(size)
  packed.writeUInt32LE(attributes.length, 0)
  let offset = COUNT_SIZE
  for (const { type, bytes } of attributes) {
    packed.writeUInt32LE(type, offset)
    packed.writeUInt32LE(bytes.length, offset + 8)
    packed.set(bytes, offset + ATTRIBUTE_HEADER_SIZE)
    offset += ATTRIBUTE_HEADER_SIZE + bytes.length
  }
  return packed
}

function encodeAttribute(key: string, value: unknown, ulongSize: 4 | 8): { type: number; bytes: Uint8Array } {
  if (isKnown(key)) {
    const { type, kind } = ATTRIBUTES[key]
    return { type, bytes: ATTRIBUTE_CODECS[kind].encode(key, value, ulongSize) }
  }
  const type = vendorType(key)
  return { type, bytes: ATTRIBUTE_CODECS.bytes.encode(hex32(type), value, ulongSize) }
}

/**
 * The type of an attribute, for the engine. A number is a vendor's own and goes through.
 *
 * @throws `INVALID_ARGUMENT` where there is no such attribute
 */
export function attributeType(attribute: AttributeName | number): number {
  if (typeof attribute === 'number') return vendorType(String(attribute))
  if (typeof attribute === 'string' && isKnown(attribute)) return ATTRIBUTES[attribute].type
  throw typeof attribute === 'string' ? unknownAttribute(attribute) : notAName(attribute)
}

/** Reads one attribute as the engine gives it; null, and what the token does not tell, is undefined. */
export function decodeAttribute<Name extends AttributeName>(
  name: Name,
  bytes: Buffer | null,
  ulongSize?: 4 | 8,
): AttributeValues[Name]
export function decodeAttribute(name: number, bytes: Buffer | null, ulongSize?: 4 | 8): Buffer | undefined
export function decodeAttribute(
  name: AttributeName | number,
  bytes: Buffer | null,
  ulongSize: 4 | 8 = ULONG_SIZE,
): AttributeValues[AttributeName] {
  if (bytes === null) return undefined
  return typeof name === 'number' ? bytes : ATTRIBUTE_CODECS[ATTRIBUTES[name].kind].decode(bytes, ulongSize)
}

function isKnown(name: string): name is AttributeName {
  return Object.hasOwn(ATTRIBUTES, name)
}

function vendorType(key: string): number {
  if (!/^\d{1,10}$/.test(key)) throw unknownAttribute(key)
  const type = Number(key)
  if (type > MAX_ULONG) throw unknownAttribute(key)
  const name = namesByType.get(type)
  if (name !== undefined) {
    throw new Pkcs11PoolError(
      'INVALID_ARGUMENT',
      `attribute ${hex32(type)} is given by number, expected its name: ${name}`,
    )
  }
  // An array of attributes holds pointers: as plain bytes it would take the process down.
  if ((type & ARRAY_ATTRIBUTE_FLAG) !== 0) {
    throw new Pkcs11PoolError(
      'INVALID_ARGUMENT',
      `attribute ${hex32(type)} has the flag of an array, expected one without: arrays are not supported by number`,
    )
  }
  return type
}

function unknownAttribute(name: string): Pkcs11PoolError {
  if (Object.hasOwn(NESTED_TEMPLATE_ATTRIBUTES, name)) {
    return new Pkcs11PoolError(
      'INVALID_ARGUMENT',
      `attribute ${name} is a template in a template, which is not supported`,
    )
  }
  return new Pkcs11PoolError(
    'INVALID_ARGUMENT',
    `attribute ${quoted(name)} is unknown, expected a name of the PKCS#11 standard or a vendor's number${didYouMean(name, ATTRIBUTE_NAMES)}`,
  )
}

function notAName(got: unknown): Pkcs11PoolError {
  return badAttribute('name', describeValue(got), "a name such as 'CKA_LABEL', or a vendor's number")
}
