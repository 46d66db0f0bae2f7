import { isUint8Array } from 'node:util/types'
import { Pkcs11PoolError } from '../errors.js'
import type { AttributeKind } from './attribute-types.js'
import { describeValue } from './describe-value.js'
import { didYouMean } from './did-you-mean.js'
import { MECHANISM_TYPES, type MechanismName } from './mechanism-types.js'
import { namesByNumber } from './numbers.js'
import {
  CERTIFICATE_TYPES,
  type CertificateTypeName,
  HARDWARE_FEATURE_TYPES,
  type HardwareFeatureName,
  KEY_TYPES,
  type KeyTypeName,
  OBJECT_CLASSES,
  type ObjectClassName,
} from './object-classes.js'
import { MAX_ULONG, readUlong, writeUlong } from './ulong.js'

/** What an attribute of each kind may be set to. A number in the place of a name is a vendor's own. */
export interface AttributeInputs {
  objectClass: ObjectClassName | number
  keyType: KeyTypeName | number
  certificateType: CertificateTypeName | number
  hardwareFeature: HardwareFeatureName | number
  mechanism: MechanismName | number
  mechanisms: readonly (MechanismName | number)[]
  boolean: boolean
  ulong: number
  text: string
  identifier: Uint8Array | number
  date: Date | string
  bytes: Uint8Array
}

/** What an attribute of each kind is read as. */
export interface AttributeOutputs extends Omit<AttributeInputs, 'mechanisms' | 'identifier' | 'date' | 'bytes'> {
  mechanisms: (MechanismName | number)[]
  identifier: Buffer
  date: string
  bytes: Buffer
}

/** Checks one value and turns it into the bytes PKCS#11 wants; bytes are passed on as they are, not copied. */
type Encode = (name: string, value: unknown, ulongSize: 4 | 8) => Uint8Array

/** Reads the bytes PKCS#11 gives; undefined where they say that there is no value. */
type Decode<Kind extends AttributeKind> = (bytes: Buffer, ulongSize: 4 | 8) => AttributeOutputs[Kind] | undefined

interface Codec<Kind extends AttributeKind> {
  encode: Encode
  decode: Decode<Kind>
}

const mechanismNames = namesByNumber(MECHANISM_TYPES)

/** How each kind of attribute is packed and read. */
export const ATTRIBUTE_CODECS: { readonly [Kind in AttributeKind]: Codec<Kind> } = {
  objectClass: namedCodec(OBJECT_CLASSES, 'CKO_SECRET_KEY'),
  keyType: namedCodec(KEY_TYPES, 'CKK_AES'),
  certificateType: namedCodec(CERTIFICATE_TYPES, 'CKC_X_509'),
  hardwareFeature: namedCodec(HARDWARE_FEATURE_TYPES, 'CKH_CLOCK'),
  mechanism: namedCodec(MECHANISM_TYPES, 'CKM_AES_CBC_PAD'),
  mechanisms: { encode: encodeMechanisms, decode: decodeMechanisms },
  boolean: { encode: encodeBoolean, decode: (bytes) => (bytes.length === 0 ? undefined : bytes[0] !== 0) },
  ulong: { encode: encodeInteger, decode: readUlong },
  text: { encode: encodeText, decode: (bytes) => bytes.toString('utf8') },
  identifier: { encode: encodeIdentifier, decode: (bytes) => bytes },
  date: { encode: encodeDate, decode: decodeDate },
  bytes: { encode: encodeBytes, decode: (bytes) => bytes },
}

export function badAttribute(name: string, got: string, expected: string, hint = ''): Pkcs11PoolError {
  return new Pkcs11PoolError('INVALID_ARGUMENT', `attribute ${name} is ${got}, expected ${expected}${hint}`)
}

function encodeBytes(name: string, value: unknown): Uint8Array {
  if (!isUint8Array(value)) throw badAttribute(name, describeValue(value), 'a Uint8Array')
  return value
}

function encodeBoolean(name: string, value: unknown): Uint8Array {
  if (typeof value !== 'boolean') throw badAttribute(name, describeValue(value), 'a boolean')
  return Uint8Array.of(value ? 1 : 0)
}

function encodeText(name: string, value: unknown): Uint8Array {
  if (typeof value !== 'string') throw badAttribute(name, describeValue(value), 'a string')
  if (/\p{Surrogate}/u.test(value)) throw badAttribute(name, 'a string with half a character', 'well-formed Unicode')
  return Buffer.from(value, 'utf8')
}

function encodeIdentifier(name: string, value: unknown): Uint8Array {
  if (isUint8Array(value)) return value
  if (!isUlong(value))
    throw badAttribute(name, describeNumber(value), `a Uint8Array or an integer from 0 to ${MAX_ULONG}`)
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function encodeInteger(name: string, value: unknown, ulongSize: 4 | 8): Uint8Array {
  if (!isUlong(value)) throw badAttribute(name, describeNumber(value), `an integer from 0 to ${MAX_ULONG}`)
  const bytes = Buffer.alloc(ulongSize)
  writeUlong(bytes, value, 0, ulongSize)
  return bytes
}

function encodeMechanisms(name: string, value: unknown, ulongSize: 4 | 8): Uint8Array {
  if (!Array.isArray(value)) throw badAttribute(name, describeValue(value), 'an array of mechanism names')
  const list: readonly unknown[] = value
  const bytes = Buffer.alloc(list.length * ulongSize)
  for (let index = 0; index < list.length; index += 1) {
    const type = numberOfName(`${name}[${index}]`, list[index], MECHANISM_TYPES, 'CKM_AES_CBC_PAD')
    writeUlong(bytes, type, index * ulongSize, ulongSize)
  }
  return bytes
}

function encodeDate(name: string, value: unknown): Uint8Array {
  if (value === '') return new Uint8Array(0)
  const text = value instanceof Date && !Number.isNaN(value.getTime()) ? value.toISOString().slice(0, 10) : value
  if (typeof text !== 'string' || !isCalendarDate(text)) {
    const got = typeof value === 'string' ? 'a string that is no such date' : describeValue(value)
    throw badAttribute(name, got, "a Date, or a string 'YYYY-MM-DD' of the years 1900 to 9999")
  }
  return Buffer.from(text.replaceAll('-', ''), 'latin1')
}

function isCalendarDate(text: string): boolean {
  if (!/^(19|[2-9]\d)\d\d-\d\d-\d\d$/.test(text)) return false
  const date = new Date(`${text}T00:00:00Z`)
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text)
}

function decodeDate(bytes: Buffer): string {
  const digits = bytes.toString('latin1')
  return /^\d{8}$/.test(digits) ? `${digits.slice(0, 4)}-${digits.slice(4, 6)}-${digits.slice(6)}` : ''
}

function decodeMechanisms(bytes: Buffer, ulongSize: 4 | 8): (MechanismName | number)[] {
  const mechanisms: (MechanismName | number)[] = []
  for (let offset = 0; offset + ulongSize <= bytes.length; offset += ulongSize) {
    const type = readUlong(bytes.subarray(offset, offset + ulongSize))
    if (type !== undefined) mechanisms.push(mechanismNames.get(type) ?? type)
  }
  return mechanisms
}

function namedCodec<Name extends string>(
  table: Readonly<Record<Name, number>>,
  example: Name,
): { encode: Encode; decode: (bytes: Buffer) => Name | number | undefined } {
  const names = namesByNumber(table)
  return {
    encode: (name, value, ulongSize) => encodeInteger(name, numberOfName(name, value, table, example), ulongSize),
    decode: (bytes) => {
      const number = readUlong(bytes)
      return number === undefined ? undefined : (names.get(number) ?? number)
    },
  }
}

function numberOfName(name: string, value: unknown, table: Readonly<Record<string, number>>, example: string): number {
  if (isUlong(value)) return value
  const number = typeof value === 'string' && Object.hasOwn(table, value) ? table[value] : undefined
  if (number !== undefined) return number
  const expected = `a name such as '${example}', or a vendor's number`
  if (typeof value !== 'string') throw badAttribute(name, describeNumber(value), expected)
  throw badAttribute(name, 'a string that is no such name', expected, didYouMean(value, Object.keys(table)))
}

function isUlong(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_ULONG
}

function describeNumber(value: unknown): string {
  return Number.isInteger(value) ? 'an integer out of range' : describeValue(value)
}
