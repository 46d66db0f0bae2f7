/** What the compiler must accept and refuse of templates. Nothing here is run: it is checked with the types of the tests. */

import type { ATTRIBUTES } from '../../src/pkcs11/attribute-types.js'
import type { AttributeInputs } from '../../src/pkcs11/attribute-values.js'
import {
  type AttributeName,
  type AttributeValues,
  attributeType,
  decodeAttribute,
  type Template,
} from '../../src/pkcs11/templates.js'

declare const bytes: Uint8Array
declare const read: Buffer | null

export const accepted: Template = {
  CKA_CLASS: 'CKO_SECRET_KEY',
  CKA_KEY_TYPE: 'CKK_AES',
  CKA_LABEL: 'k4',
  CKA_ID: 1,
  CKA_TOKEN: true,
  CKA_VALUE: bytes,
  CKA_VALUE_LEN: 32,
  CKA_START_DATE: '2026-01-31',
  CKA_END_DATE: new Date(0),
  CKA_ALLOWED_MECHANISMS: ['CKM_AES_CBC_PAD', 0x80000001],
  0x80000001: bytes,
}
export const idAsBytes: Template = { CKA_ID: bytes }
export const vendorClass: Template = { CKA_CLASS: 0x80000001, CKA_KEY_TYPE: 0x80000002 }

// @ts-expect-error a misspelled attribute
export const misspelled: Template = { CKA_LABLE: 'k4' }
// @ts-expect-error a label is text
export const labelAsBytes: Template = { CKA_LABEL: bytes }
// @ts-expect-error a value is bytes
export const valueAsText: Template = { CKA_VALUE: '00112233' }
// @ts-expect-error a flag is a boolean
export const flagAsNumber: Template = { CKA_TOKEN: 1 }
// @ts-expect-error no class of that name
export const wrongClass: Template = { CKA_CLASS: 'CKO_SECRETKEY' }
// @ts-expect-error a key type is no class
export const typeAsClass: Template = { CKA_CLASS: 'CKK_AES' }
// @ts-expect-error undefined would find everything
export const undefinedLabel: Template = { CKA_LABEL: undefined }
// @ts-expect-error a template in a template is not supported
export const nested: Template = { CKA_WRAP_TEMPLATE: {} }
// @ts-expect-error a vendor's attribute is bytes
export const vendorText: Template = { 0x80000001: 'abc' }
// @ts-expect-error no such attribute
export const wrongType: number = attributeType('CKA_LABLE')

export const label: string | undefined = decodeAttribute('CKA_LABEL', read)
export const id: Buffer | undefined = decodeAttribute('CKA_ID', read)
export const token: boolean | undefined = decodeAttribute('CKA_TOKEN', read)
export const size: AttributeValues['CKA_MODULUS_BITS'] = 2048
export const vendor: Buffer | undefined = decodeAttribute(0x80000001, read)
// @ts-expect-error a label is text
export const labelAsNumber: number | undefined = decodeAttribute('CKA_LABEL', read)

type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false
/** Every attribute's input in `Template` is that of the kind it is packed by, so that types and packing cannot part. */
type Agreement = {
  [Name in AttributeName]: Same<NonNullable<Template[Name]>, AttributeInputs[(typeof ATTRIBUTES)[Name]['kind']]>
}
export const agreement: { [Name in AttributeName]: true } = {} as Agreement
/** …and `Template` has no attribute beside them. */
type NamedKey<Key> = Key extends `CKA_${string}` ? Key : never
export const sameNames: Same<NamedKey<keyof Template>, AttributeName> = true
