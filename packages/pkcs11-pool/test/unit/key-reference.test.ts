import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Pkcs11PoolError } from '../../src/index.js'
import {
  captureFilter,
  captureReference,
  describeReference,
  idBytes,
  type Key,
  type KeyReference,
  matches,
  referenceTemplate,
  serves,
} from '../../src/session/key-reference.js'

function refusal(capture: (given: never) => unknown, given: unknown): string {
  try {
    capture(given as never)
  } catch (error) {
    if (!(error instanceof Pkcs11PoolError)) throw error
    expect(error.code).toBe('INVALID_ARGUMENT')
    return error.message
  }
  throw new Error('the reference was accepted')
}

const key = (given: Partial<Key>): Key => ({
  handle: 1,
  class: 'CKO_SECRET_KEY',
  label: 'k',
  id: Buffer.from([0, 0, 0, 1]),
  keyType: 'CKK_AES',
  sizeBits: 256,
  private: true,
  alwaysAuthenticate: false,
  ...given,
})

describe('a captured reference', () => {
  test('does not change when its caller changes what it gave', () => {
    const id = new Uint8Array([1, 2])
    const given: KeyReference = { label: 'k', id, class: 'CKO_SECRET_KEY' }
    const captured = captureReference(given)
    id[0] = 9
    given.label = 'another'
    expect(captured).toEqual({ label: 'k', id: Buffer.from([1, 2]), class: 'CKO_SECRET_KEY' })
  })

  test.each([
    ['nothing', {}, 'names neither label nor id'],
    ['a class only', { class: 'CKO_SECRET_KEY' }, 'names neither label nor id'],
    ['null', null, 'is of type null'],
    ['a text', 'k', 'is of type string'],
    ['a misspelled name', { lable: 'k' }, 'has no "lable"'],
    ['a label that is null', { label: null }, 'label is of type object; expected a string'],
    ['an id that is null', { id: null }, 'id is of type object'],
    ['a negative id', { id: -1 }, 'id is -1'],
    ['half an id', { id: 1.5 }, 'id is 1.5'],
    ['an id of more than 4 bytes', { id: 2 ** 32 }, 'id is 4294967296'],
    ['an id as text', { id: '01' }, 'id is of type string'],
    ['a class that is no key’s', { label: 'k', class: 'CKO_DATA' }, 'class is "CKO_DATA"'],
    ['a private that is text', { label: 'k', private: 'yes' }, 'private is of type string'],
    ['a class that is null', { label: 'k', class: null }, 'class is null'],
  ])('is not made of %s', (_, given, words) => {
    expect(refusal(captureReference, given)).toContain(words)
  })
})

test('a filter may name nothing, or a class only, and is checked like a reference otherwise', () => {
  expect(captureFilter({})).toEqual({ class: undefined })
  expect(captureFilter({ class: 'CKO_PUBLIC_KEY' })).toEqual({ class: 'CKO_PUBLIC_KEY' })
  expect(captureFilter({ label: '' })).toEqual({ label: '', id: undefined, class: undefined })
  expect(refusal(captureFilter, { class: 'CKO_DATA' })).toContain('class')
  expect(refusal(captureFilter, { lable: 'k' })).toContain('has no "lable"')
  expect(refusal(captureFilter, null)).toContain('is of type null')
})

test('an integer is its 4 bytes, big-endian, and bytes are themselves', () => {
  expect(idBytes(0)).toEqual(Buffer.from([0, 0, 0, 0]))
  expect(idBytes(0x0102_0304)).toEqual(Buffer.from([1, 2, 3, 4]))
  fc.assert(fc.property(fc.nat(0xffff_ffff), (id) => idBytes(id).readUInt32BE() === id))
  expect(idBytes(new Uint8Array([7]))).toEqual(Buffer.from([7]))
})

test('a key matches when everything that is given does, byte for byte', () => {
  expect(matches({ label: 'k' }, key({}))).toBe(true)
  expect(matches({ label: 'k', id: 1, class: 'CKO_SECRET_KEY' }, key({}))).toBe(true)
  expect(matches({ id: new Uint8Array([0, 0, 0, 1]) }, key({}))).toBe(true)
  expect(matches({ label: 'K' }, key({}))).toBe(false)
  expect(matches({ label: 'k', id: 2 }, key({}))).toBe(false)
  // A number is 4 bytes, not the number they are.
  expect(matches({ id: 1 }, key({ id: Buffer.from([1]) }))).toBe(false)
  expect(matches({ label: 'k', class: 'CKO_PUBLIC_KEY' }, key({}))).toBe(false)
  expect(matches({ label: 'k', private: true }, key({}))).toBe(true)
  expect(matches({ label: 'k', private: false }, key({}))).toBe(false)
  // What a token does not tell is not taken for granted.
  expect(matches({ label: 'k', private: true }, key({ private: undefined }))).toBe(false)
  expect(matches({ label: '' }, key({ label: '' }))).toBe(true)
})

test('the template of a reference asks for what is given and nothing else', () => {
  expect(referenceTemplate({ label: '' })).toEqual({ CKA_LABEL: '' })
  expect(referenceTemplate({ id: 1 })).toEqual({ CKA_ID: Buffer.from([0, 0, 0, 1]) })
  expect(referenceTemplate({ label: 'k', id: new Uint8Array(0), class: 'CKO_PUBLIC_KEY' })).toEqual({
    CKA_LABEL: 'k',
    CKA_ID: Buffer.alloc(0),
    CKA_CLASS: 'CKO_PUBLIC_KEY',
  })
  expect(referenceTemplate({ id: 0, private: false })).toEqual({ CKA_ID: Buffer.alloc(4), CKA_PRIVATE: false })
})

test('of a pair the private half serves as a private key, the public one as a public, and a secret key as both', () => {
  expect(serves('private', 'CKO_PRIVATE_KEY')).toBe(true)
  expect(serves('private', 'CKO_PUBLIC_KEY')).toBe(false)
  expect(serves('public', 'CKO_PUBLIC_KEY')).toBe(true)
  expect(serves('public', 'CKO_PRIVATE_KEY')).toBe(false)
  for (const use of ['private', 'public', 'any'] as const) expect(serves(use, 'CKO_SECRET_KEY')).toBe(true)
  expect(serves('any', 'CKO_PRIVATE_KEY')).toBe(true)
})

test('a reference in words names what it has', () => {
  expect(describeReference({ label: 'a "b"' })).toBe('key with label "a \\"b\\""')
  expect(describeReference({ id: 7, class: 'CKO_PUBLIC_KEY' })).toBe('key with id 7, CKO_PUBLIC_KEY')
  expect(describeReference({ label: 'k', private: true })).toBe('key with label "k", private')
  expect(describeReference({ id: new Uint8Array([0xca, 0xfe]) })).toBe('key with id 0xcafe')
  expect(describeReference({ id: new Uint8Array(0) })).toBe('key with id (empty)')
})
