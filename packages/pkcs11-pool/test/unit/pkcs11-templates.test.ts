import { endianness } from 'node:os'
import { describe, expect, it } from 'vitest'
import { Pkcs11PoolError } from '../../src/errors.js'
import { ULONG_SIZE } from '../../src/pkcs11/numbers.js'
import {
  type AttributeName,
  attributeType,
  decodeAttribute,
  packTemplate,
  type Template,
} from '../../src/pkcs11/templates.js'
import { unpackTemplate } from '../support/unpack.js'

const SECRET = 'hunter2-hunter2'

/** A CK_ULONG of 8 bytes in this machine's order. */
function ulong(value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  if (endianness() === 'LE') bytes.writeBigUInt64LE(value)
  else bytes.writeBigUInt64BE(value)
  return bytes
}

function refusal(template: unknown): Pkcs11PoolError {
  try {
    packTemplate(template as Template)
  } catch (error) {
    if (error instanceof Pkcs11PoolError) return error
    throw error
  }
  throw new Error('it was packed')
}

describe('a template', () => {
  it.each<[Template, bigint, Buffer]>([
    [{ CKA_CLASS: 'CKO_SECRET_KEY' }, 0n, ulong(4n)],
    [{ CKA_CLASS: 0x80000001 }, 0n, ulong(0x80000001n)],
    [{ CKA_KEY_TYPE: 'CKK_AES' }, 0x100n, ulong(0x1fn)],
    [{ CKA_CERTIFICATE_TYPE: 'CKC_X_509' }, 0x80n, ulong(0n)],
    [{ CKA_HW_FEATURE_TYPE: 'CKH_CLOCK' }, 0x300n, ulong(2n)],
    [{ CKA_KEY_GEN_MECHANISM: 'CKM_AES_KEY_GEN' }, 0x166n, ulong(0x1080n)],
    [{ CKA_LABEL: 'schlüssel 🔑' }, 3n, Buffer.from('schlüssel 🔑')],
    [{ CKA_LABEL: '' }, 3n, Buffer.alloc(0)],
    [{ CKA_ID: 1 }, 0x102n, Buffer.from('00000001', 'hex')],
    [{ CKA_ID: 0xfedcba98 }, 0x102n, Buffer.from('fedcba98', 'hex')],
    [{ CKA_ID: Buffer.from('01', 'hex') }, 0x102n, Buffer.from('01', 'hex')],
    [{ CKA_TOKEN: true }, 1n, Buffer.from([1])],
    [{ CKA_PRIVATE: false }, 2n, Buffer.from([0])],
    [{ CKA_VALUE_LEN: 32 }, 0x161n, ulong(32n)],
    [{ CKA_PUBLIC_EXPONENT: Buffer.from('010001', 'hex') }, 0x122n, Buffer.from('010001', 'hex')],
    [{ CKA_START_DATE: '2026-02-28' }, 0x110n, Buffer.from('20260228')],
    [{ CKA_END_DATE: new Date('2026-12-31T23:59:59Z') }, 0x111n, Buffer.from('20261231')],
    [{ CKA_END_DATE: '' }, 0x111n, Buffer.alloc(0)],
    [
      { CKA_ALLOWED_MECHANISMS: ['CKM_AES_CBC', 0x80000002] },
      0x40000600n,
      Buffer.concat([ulong(0x1082n), ulong(0x80000002n)]),
    ],
    [{ CKA_ALLOWED_MECHANISMS: [] }, 0x40000600n, Buffer.alloc(0)],
    [{ 0x80000001: Buffer.from('ab', 'hex') }, 0x80000001n, Buffer.from('ab', 'hex')],
  ])('packs %o', (template, type, value) => {
    expect(unpackTemplate(packTemplate(template, 8))).toEqual([[type, value]])
  })

  it('of no attributes is one that everything matches', () => {
    expect(Buffer.from(packTemplate({})).toString('hex')).toBe('00000000')
  })

  it('of several has them all', () => {
    const packed = unpackTemplate(packTemplate({ CKA_LABEL: 'k4', CKA_ID: 1, CKA_TOKEN: true }, 8))
    expect(packed.map(([type]) => type)).toEqual([3n, 0x102n, 1n])
  })

  it('has its numbers in the 4 bytes of a CK_ULONG on Windows and 32-bit machines', () => {
    const [[, value]] = unpackTemplate(packTemplate({ CKA_VALUE_LEN: 0x01020304 }, 4)) as [[bigint, Buffer]]
    expect(value.toString('hex')).toBe(endianness() === 'LE' ? '04030201' : '01020304')
  })

  it('is packed into memory of its own, so that wiping it wipes nothing else', () => {
    const value = Buffer.from('00112233', 'hex')
    const packed = packTemplate({ CKA_VALUE: value })
    expect(packed.buffer.byteLength).toBe(packed.byteLength)
    packed.fill(0)
    expect(value.toString('hex')).toBe('00112233')
  })

  it.each<[unknown, string]>([
    [{ CKA_LABLE: 'k' }, 'attribute "CKA_LABLE" is unknown'],
    [{ CKA_LABLE: 'k' }, 'did you mean CKA_LABEL?'],
    [{ LABEL: 'k' }, 'did you mean CKA_LABEL?'],
    [{ CKA_LABEL: undefined }, 'attribute CKA_LABEL is undefined, expected a string'],
    [{ CKA_LABEL: Buffer.from(SECRET) }, 'attribute CKA_LABEL is 15 bytes, expected a string'],
    [
      { CKA_LABEL: 'half \ud83d' },
      'attribute CKA_LABEL is a string with half a character, expected well-formed Unicode',
    ],
    [{ CKA_VALUE: SECRET }, 'attribute CKA_VALUE is a string, expected a Uint8Array'],
    [{ CKA_VALUE: [1, 2] }, 'attribute CKA_VALUE is an array, expected a Uint8Array'],
    [{ CKA_VALUE: new Uint16Array(2) }, 'attribute CKA_VALUE is an object, expected a Uint8Array'],
    [{ CKA_TOKEN: 1 }, 'attribute CKA_TOKEN is an integer, expected a boolean'],
    [{ CKA_ID: SECRET }, 'attribute CKA_ID is a string, expected a Uint8Array or an integer from 0 to 4294967295'],
    [{ CKA_ID: 2 ** 32 }, 'attribute CKA_ID is an integer out of range, expected a Uint8Array or an integer from 0'],
    [{ CKA_ID: -1 }, 'attribute CKA_ID is an integer out of range'],
    [{ CKA_VALUE_LEN: 1.5 }, 'attribute CKA_VALUE_LEN is a number that is no integer, expected an integer from 0'],
    [{ CKA_VALUE_LEN: 16n }, 'attribute CKA_VALUE_LEN is a bigint, expected an integer from 0'],
    [
      { CKA_CLASS: 'CKO_SECRETKEY' },
      "attribute CKA_CLASS is a string that is no such name, expected a name such as 'CKO_SECRET_KEY'",
    ],
    [{ CKA_CLASS: 'CKO_SECRETKEY' }, 'did you mean CKO_SECRET_KEY?'],
    [{ CKA_KEY_TYPE: null }, "attribute CKA_KEY_TYPE is null, expected a name such as 'CKK_AES', or a vendor's number"],
    [
      { CKA_ALLOWED_MECHANISMS: 'CKM_AES_CBC' },
      'attribute CKA_ALLOWED_MECHANISMS is a string, expected an array of mechanism names',
    ],
    [
      { CKA_ALLOWED_MECHANISMS: ['CKM_AES_CBC', null] },
      'attribute CKA_ALLOWED_MECHANISMS[1] is null, expected a name such as',
    ],
    [
      { CKA_START_DATE: '2026-02-30' },
      "attribute CKA_START_DATE is a string that is no such date, expected a Date, or a string 'YYYY-MM-DD'",
    ],
    [{ CKA_START_DATE: '1899-12-31' }, 'attribute CKA_START_DATE is a string that is no such date'],
    [{ CKA_START_DATE: new Date(Number.NaN) }, 'attribute CKA_START_DATE is an object, expected a Date'],
    [{ CKA_WRAP_TEMPLATE: {} }, 'attribute CKA_WRAP_TEMPLATE is a template in a template, which is not supported'],
    [{ 3: Buffer.alloc(1) }, 'attribute 0x00000003 is given by number, expected its name: CKA_LABEL'],
    [{ 0x40000211: Buffer.alloc(24) }, 'attribute 0x40000211 is given by number, expected its name: CKA_WRAP_TEMPLATE'],
    [{ 0xc0000001: Buffer.alloc(24) }, 'attribute 0xc0000001 has the flag of an array'],
    [{ 0x80000001: 'text' }, 'attribute 0x80000001 is a string, expected a Uint8Array'],
    [{ 4294967296: Buffer.alloc(1) }, 'attribute "4294967296" is unknown'],
    [null, 'template is null, expected an object of attributes'],
    ['CKA_LABEL', 'template is a string, expected an object of attributes'],
    [[], 'template is an array, expected an object of attributes'],
    [Buffer.alloc(3), 'template is 3 bytes, expected an object of attributes'],
  ])('that cannot be packed says which attribute, what was got and what is expected: %o', (template, message) => {
    const error = refusal(template)
    expect(error.code).toBe('INVALID_ARGUMENT')
    expect(error.message).toContain(message)
    expect(error.message).not.toContain(SECRET)
  })

  it('never shows a value: not even one that a name was expected for', () => {
    expect(refusal({ CKA_CLASS: SECRET }).message).not.toContain(SECRET)
    expect(refusal({ CKA_START_DATE: SECRET }).message).not.toContain(SECRET)
    expect(refusal({ CKA_VALUE_LEN: 12345678901 }).message).not.toContain('12345678901')
  })

  it('takes no attribute from its prototype', () => {
    expect(unpackTemplate(packTemplate(Object.create({ CKA_TOKEN: true }) as Template))).toEqual([])
  })
})

describe('an attribute that was read', () => {
  it.each<[AttributeName | number, Buffer, unknown]>([
    ['CKA_CLASS', ulong(3n), 'CKO_PRIVATE_KEY'],
    ['CKA_CLASS', ulong(0x80000001n), 0x80000001],
    ['CKA_KEY_TYPE', ulong(3n), 'CKK_EC'],
    ['CKA_LABEL', Buffer.from('schlüssel'), 'schlüssel'],
    ['CKA_ID', Buffer.from('0001', 'hex'), Buffer.from('0001', 'hex')],
    ['CKA_TOKEN', Buffer.from([1]), true],
    ['CKA_TOKEN', Buffer.from([0xff]), true],
    ['CKA_TOKEN', Buffer.from([0]), false],
    ['CKA_TOKEN', Buffer.alloc(0), undefined],
    ['CKA_MODULUS_BITS', ulong(2048n), 2048],
    [
      'CKA_MODULUS_BITS',
      ulong(2048n)
        .subarray(endianness() === 'LE' ? 0 : 4)
        .subarray(0, 4),
      2048,
    ],
    ['CKA_MODULUS_BITS', Buffer.alloc(3), undefined],
    ['CKA_KEY_GEN_MECHANISM', ulong(0x1080n), 'CKM_AES_KEY_GEN'],
    ['CKA_KEY_GEN_MECHANISM', Buffer.alloc(8, 0xff), undefined],
    ['CKA_ALLOWED_MECHANISMS', Buffer.concat([ulong(0x1082n), ulong(0x80000002n)]), ['CKM_AES_CBC', 0x80000002]],
    ['CKA_ALLOWED_MECHANISMS', Buffer.alloc(0), []],
    ['CKA_START_DATE', Buffer.from('20260228'), '2026-02-28'],
    ['CKA_START_DATE', Buffer.alloc(0), ''],
    ['CKA_START_DATE', Buffer.alloc(8), ''],
    ['CKA_MODULUS', Buffer.from('c0ff', 'hex'), Buffer.from('c0ff', 'hex')],
    [0x80000001, Buffer.from('c0ff', 'hex'), Buffer.from('c0ff', 'hex')],
  ])('is a value of its type: %s %o', (name, bytes, value) => {
    expect(decodeAttribute(name as AttributeName, bytes, 8)).toEqual(value)
  })

  it('is undefined where the token does not give it', () => {
    expect(decodeAttribute('CKA_VALUE', null)).toBeUndefined()
    expect(decodeAttribute(0x80000001, null)).toBeUndefined()
  })
})

describe('the type of an attribute', () => {
  it('is its number in the standard, or the vendor’s own', () => {
    expect(attributeType('CKA_ALLOWED_MECHANISMS')).toBe(0x40000600)
    expect(attributeType(0x80000001)).toBe(0x80000001)
  })

  it.each<[unknown, string]>([
    ['CKA_LABLE', 'did you mean CKA_LABEL?'],
    ['CKA_WRAP_TEMPLATE', 'not supported'],
    [3, 'expected its name: CKA_LABEL'],
    [-1, 'is unknown'],
    [undefined, 'attribute name is undefined'],
  ])('is refused where there is none: %s', (name, message) => {
    expect(() => attributeType(name as AttributeName)).toThrow(Pkcs11PoolError)
    expect(() => attributeType(name as AttributeName)).toThrow(message)
  })
})

describe('the size of a CK_ULONG', () => {
  it('is 8 bytes on 64-bit Unix and 4 elsewhere', () => {
    const wide =
      process.platform !== 'win32' && ['x64', 'arm64', 'ppc64', 's390x', 'riscv64', 'loong64'].includes(process.arch)
    expect(ULONG_SIZE).toBe(wide ? 8 : 4)
  })
})
