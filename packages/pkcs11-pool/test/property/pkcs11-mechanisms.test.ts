import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Pkcs11PoolError } from '../../src/errors.js'
import { KEY_DERIVATION_FUNCTIONS, PADDING_DIGESTS } from '../../src/pkcs11/mechanism-constants.js'
import { IV_MECHANISMS } from '../../src/pkcs11/mechanism-families.js'
import { usableMechanisms } from '../../src/pkcs11/mechanism-shapes.js'
import { MECHANISM_TYPES } from '../../src/pkcs11/mechanism-types.js'
import { type Mechanism, packMechanism } from '../../src/pkcs11/mechanisms.js'
import { ParameterKind } from '../../src/pkcs11/protocol.js'
import { unpackMechanism } from '../support/unpack.js'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const bytes = (minLength: number, maxLength: number) => fc.uint8Array({ minLength, maxLength })
const names = Object.keys(MECHANISM_TYPES)

describe('packing a mechanism', () => {
  it('keeps the IV of every mechanism that has one, byte for byte', () => {
    const ivMechanism = fc
      .constantFrom(...(Object.entries(IV_MECHANISMS) as [keyof typeof IV_MECHANISMS, number][]))
      .chain(([mechanism, length]) => fc.record({ mechanism: fc.constant(mechanism), iv: bytes(length, length) }))
    fc.assert(
      fc.property(ivMechanism, ({ mechanism, iv }) => {
        expect(unpackMechanism(packMechanism({ mechanism, iv }))).toEqual({
          type: BigInt(MECHANISM_TYPES[mechanism]),
          kind: ParameterKind.BYTES,
          n1: 0n,
          n2: 0n,
          n3: 0n,
          a: hex(iv),
          b: '',
        })
      }),
    )
  })

  it('keeps IV, additional data and tag length of GCM', () => {
    const tagBits = fc.integer({ min: 4, max: 16 }).map((octets) => octets * 8)
    fc.assert(
      fc.property(bytes(1, 256), bytes(0, 300), tagBits, (iv, aad, bits) => {
        expect(unpackMechanism(packMechanism({ mechanism: 'CKM_AES_GCM', iv, aad, tagBits: bits }))).toMatchObject({
          kind: ParameterKind.GCM,
          n1: BigInt(bits),
          n2: 0n,
          a: hex(iv),
          b: hex(aad),
        })
      }),
    )
  })

  it('keeps public data, shared data and kdf of ECDH', () => {
    const kdfs = Object.keys(KEY_DERIVATION_FUNCTIONS) as (keyof typeof KEY_DERIVATION_FUNCTIONS)[]
    fc.assert(
      fc.property(bytes(1, 200), bytes(0, 200), fc.constantFrom(...kdfs), (publicData, sharedData, kdf) => {
        const packed = packMechanism({ mechanism: 'CKM_ECDH1_DERIVE', publicData, sharedData, kdf })
        expect(unpackMechanism(packed)).toMatchObject({
          n1: BigInt(KEY_DERIVATION_FUNCTIONS[kdf]),
          a: hex(publicData),
          b: hex(sharedData),
        })
      }),
    )
  })

  it('gives PSS the mask generation function and the salt of its digest unless told otherwise', () => {
    const digests = Object.keys(PADDING_DIGESTS) as (keyof typeof PADDING_DIGESTS)[]
    fc.assert(
      fc.property(fc.constantFrom(...digests), fc.option(fc.nat(512), { nil: undefined }), (hashAlg, saltLength) => {
        const packed = packMechanism({
          mechanism: 'CKM_RSA_PKCS_PSS',
          hashAlg,
          ...(saltLength === undefined ? {} : { saltLength }),
        })
        expect(unpackMechanism(packed)).toMatchObject({
          n1: BigInt(MECHANISM_TYPES[hashAlg]),
          n3: BigInt(saltLength ?? PADDING_DIGESTS[hashAlg].length),
        })
      }),
    )
  })

  it('throws nothing but the library’s own error, whatever it is given', () => {
    const field = fc.constantFrom(
      'iv',
      'aad',
      'tagBits',
      'hashAlg',
      'mgf',
      'saltLength',
      'data',
      'publicData',
      'kdf',
      'key',
      'x',
    )
    const value = fc.oneof(fc.anything(), bytes(0, 20), fc.constantFrom(...names), fc.bigInt())
    const almost = fc
      .tuple(fc.oneof(fc.constantFrom(...names), fc.nat()), fc.dictionary(field, value))
      .map(([mechanism, fields]) => ({ ...fields, mechanism }))
    const garbage = fc.oneof(fc.anything({ withBigInt: true, withNullPrototype: true, withTypedArray: true }), almost)
    fc.assert(
      fc.property(garbage, (mechanism) => {
        try {
          unpackMechanism(packMechanism(mechanism as Mechanism))
        } catch (error) {
          expect(error).toBeInstanceOf(Pkcs11PoolError)
          expect(error).toMatchObject({ code: 'INVALID_ARGUMENT' })
        }
      }),
      { numRuns: 2_000 },
    )
  })

  it('takes every name it knows, or says why not', () => {
    const usable = new Set(usableMechanisms())
    for (const name of names) {
      const refused = /is known, but this library has no form|: \w+ is missing, expected/
      let message: string | undefined
      try {
        expect(unpackMechanism(packMechanism(name as Mechanism)).type).toBe(
          BigInt(MECHANISM_TYPES[name as keyof typeof MECHANISM_TYPES]),
        )
      } catch (error) {
        message = (error as Error).message
        expect(message).toMatch(refused)
      }
      if (!usable.has(name)) expect(message).toMatch(/no form/)
    }
  })
})
