import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Pkcs11PoolError } from '../../src/errors.js'
import { ATTRIBUTES, type AttributeKind, type AttributeName } from '../../src/pkcs11/attribute-types.js'
import { MECHANISM_TYPES } from '../../src/pkcs11/mechanism-types.js'
import {
  CERTIFICATE_TYPES,
  HARDWARE_FEATURE_TYPES,
  KEY_TYPES,
  OBJECT_CLASSES,
} from '../../src/pkcs11/object-classes.js'
import { decodeAttribute, packTemplate, type Template } from '../../src/pkcs11/templates.js'
import { unpackTemplate } from '../support/unpack.js'

const nameOf = (table: object) => fc.constantFrom(...Object.keys(table))
const vendorNumber = fc.integer({ min: 0x80000000, max: 0xfffffffe })
const day = fc
  .date({ min: new Date('1900-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
  .map((date) => date.toISOString().slice(0, 10))

/** Values that come back as they went in. */
const values: Record<AttributeKind, fc.Arbitrary<unknown>> = {
  objectClass: fc.oneof(nameOf(OBJECT_CLASSES), vendorNumber),
  keyType: fc.oneof(nameOf(KEY_TYPES), vendorNumber),
  certificateType: fc.oneof(nameOf(CERTIFICATE_TYPES), vendorNumber),
  hardwareFeature: fc.oneof(nameOf(HARDWARE_FEATURE_TYPES), vendorNumber),
  mechanism: fc.oneof(nameOf(MECHANISM_TYPES), vendorNumber),
  mechanisms: fc.array(fc.oneof(nameOf(MECHANISM_TYPES), vendorNumber), { maxLength: 5 }),
  boolean: fc.boolean(),
  ulong: fc.integer({ min: 0, max: 0xfffffffe }),
  text: fc.string({ unit: 'grapheme' }),
  identifier: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  date: fc.oneof(day, fc.constant('')),
  bytes: fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes)),
}

const attributeNames = Object.keys(ATTRIBUTES) as AttributeName[]
const validTemplate = fc.record(
  Object.fromEntries(attributeNames.map((name) => [name, values[ATTRIBUTES[name].kind]])),
  { requiredKeys: [] },
)

describe('packing a template', () => {
  it.each([4, 8] as const)(
    'loses nothing: what is packed reads back the same, with a CK_ULONG of %i bytes',
    (ulongSize) => {
      fc.assert(
        fc.property(validTemplate, (template) => {
          const packed = unpackTemplate(packTemplate(template as Template, ulongSize))
          const types = new Map(packed)
          expect(types.size).toBe(Object.keys(template).length)
          for (const [name, value] of Object.entries(template)) {
            const bytes = types.get(BigInt(ATTRIBUTES[name as AttributeName].type))
            expect(bytes).toBeDefined()
            expect(decodeAttribute(name as AttributeName, bytes ?? null, ulongSize)).toEqual(value)
          }
        }),
      )
    },
  )

  it('passes a vendor’s own attributes on as they are', () => {
    const type = fc.integer({ min: 0x80000000, max: 0xbfffffff })
    const dictionary = fc.array(fc.tuple(type, fc.uint8Array({ maxLength: 64 })), { maxLength: 5 })
    fc.assert(
      fc.property(dictionary, (pairs) => {
        const template: Template = Object.fromEntries(pairs)
        const packed = new Map(unpackTemplate(packTemplate(template)))
        for (const [key, value] of Object.entries(template)) expect(packed.get(BigInt(key))).toEqual(Buffer.from(value))
      }),
    )
  })

  it('throws nothing but the library’s own error, whatever it is given', () => {
    const anything = fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true, withTypedArray: true })
    const key = fc.oneof(fc.constantFrom<string>(...attributeNames), fc.string(), fc.nat().map(String))
    const almost = fc.dictionary(key, fc.oneof(anything, ...Object.values(values)), { maxKeys: 3 })
    fc.assert(
      fc.property(fc.oneof(anything, almost), (template) => {
        try {
          unpackTemplate(packTemplate(template as Template))
        } catch (error) {
          expect(error).toBeInstanceOf(Pkcs11PoolError)
          expect(error).toMatchObject({ code: 'INVALID_ARGUMENT' })
        }
      }),
      { numRuns: 2_000 },
    )
  })

  it('never shows a value in its errors', () => {
    const secret = fc.string({ minLength: 12, maxLength: 40, unit: fc.constantFrom('q', 'z', '7', '9', '#', '$', '%') })
    const wrong = fc.constantFrom(...attributeNames.filter((name) => ATTRIBUTES[name].kind !== 'text'))
    fc.assert(
      fc.property(wrong, secret, (name, value) => {
        let message = ''
        try {
          const template: Record<string, unknown> = { [name]: value }
          packTemplate(template as Template)
        } catch (error) {
          message = (error as Error).message
        }
        expect(message).toContain(name)
        expect(message).not.toContain(value)
      }),
    )
  })
})

describe('reading an attribute', () => {
  it('never throws, whatever bytes a token gives', () => {
    const bytes = fc.uint8Array({ maxLength: 40 }).map((value) => Buffer.from(value))
    fc.assert(
      fc.property(fc.constantFrom(...attributeNames), bytes, (name, value) => {
        decodeAttribute(name, value)
      }),
      { numRuns: 2_000 },
    )
  })
})
