import { Pkcs11PoolError } from '../errors.js'
import { describeValue } from './describe-value.js'
import { didYouMean, quoted } from './did-you-mean.js'
import type { KeyDerivationFunctionName, MaskGenerationFunctionName, PaddingDigestName } from './mechanism-constants.js'
import type {
  CBC_DATA_MECHANISMS,
  COUNTER_MECHANISMS,
  ECDH_MECHANISMS,
  IV_MECHANISMS,
  MAC_LENGTH_MECHANISMS,
  OPTIONAL_IV_MECHANISMS,
  PSS_WITH_DIGEST_MECHANISMS,
  STRING_DATA_MECHANISMS,
  UNSUPPORTED_MECHANISMS,
} from './mechanism-families.js'
import { badField, bytesField, type Fields } from './mechanism-fields.js'
import { type MechanismShape, mechanismShape, usableMechanisms } from './mechanism-shapes.js'
import { type CURRENT_MECHANISM_TYPES, MECHANISM_TYPES, type MechanismName } from './mechanism-types.js'
import { hex32, namesByNumber } from './numbers.js'
import { packedMechanism } from './packed-mechanism.js'
import { type PackedMechanism, ParameterKind } from './protocol.js'
import { MAX_ULONG } from './ulong.js'

/** Block ciphers that take an initialisation vector. PKCS#11 2.40 Current Mechanisms, the sections of the ciphers. */
export interface IvMechanism {
  mechanism: keyof typeof IV_MECHANISMS
  /** 16 bytes, the block of AES, Camellia, ARIA and SEED; 8 bytes for DES and triple DES */
  iv: Uint8Array
}

/** AES key wrap. PKCS#11 3.1, "AES Key Wrap". */
export interface AesKeyWrapMechanism {
  mechanism: keyof typeof OPTIONAL_IV_MECHANISMS
  /**
   * 8 bytes, 4 for `CKM_AES_KEY_WRAP_KWP`
   * @defaultValue the initial value of the standard (RFC 3394, RFC 5649)
   */
  iv?: Uint8Array
}

/** AES-GCM; the tag follows the ciphertext. PKCS#11 2.40 Current Mechanisms, "Additional AES Mechanisms". */
export interface AesGcmMechanism {
  mechanism: 'CKM_AES_GCM'
  /** 1 to 256 bytes, 12 for most uses; never twice with one key */
  iv: Uint8Array
  /** additional data that is authenticated, not encrypted */
  aad?: Uint8Array
  /**
   * length of the tag in bits: a multiple of 8 from 32 to 128
   * @defaultValue 128
   */
  tagBits?: number
}

/** AES-CCM; the MAC follows the ciphertext. PKCS#11 2.40 Current Mechanisms, "Additional AES Mechanisms". */
export interface AesCcmMechanism {
  mechanism: 'CKM_AES_CCM'
  /** length of the plaintext in bytes, when decrypting too */
  dataLength: number
  /** 7 to 13 bytes; never twice with one key */
  nonce: Uint8Array
  /** additional data that is authenticated, not encrypted */
  aad?: Uint8Array
  /** length of the MAC in bytes: an even number from 4 to 16 */
  macLength: number
}

/** Counter mode. PKCS#11 2.40 Current Mechanisms, "AES with Counter". */
export interface CounterMechanism {
  mechanism: (typeof COUNTER_MECHANISMS)[number]
  /** 16 bytes: the first counter block, nonce included */
  counterBlock: Uint8Array
  /** how many of its low bits count up: 1 to 128 */
  counterBits: number
}

/** RSA encryption with OAEP padding. PKCS#11 2.40 Current Mechanisms, "PKCS #1 RSA OAEP". */
export interface RsaOaepMechanism {
  mechanism: 'CKM_RSA_PKCS_OAEP'
  hashAlg: PaddingDigestName
  /** @defaultValue MGF1 with `hashAlg` */
  mgf?: MaskGenerationFunctionName
  /** the encoding parameter, also called label */
  source?: Uint8Array
}

/** RSA signature with PSS padding over a digest that the caller has made. PKCS#11 2.40 Current Mechanisms, "PKCS #1 RSA PSS". */
export interface RsaPssMechanism {
  mechanism: 'CKM_RSA_PKCS_PSS'
  hashAlg: PaddingDigestName
  /** @defaultValue MGF1 with `hashAlg` */
  mgf?: MaskGenerationFunctionName
  /**
   * length of the salt in bytes
   * @defaultValue the digest's length
   */
  saltLength?: number
}

/** RSA signature with PSS padding, digest included. PKCS#11 2.40 Current Mechanisms, "PKCS #1 RSA PSS". */
export interface RsaPssDigestMechanism {
  mechanism: keyof typeof PSS_WITH_DIGEST_MECHANISMS
  /** @defaultValue the digest that the mechanism's name says, the only one possible */
  hashAlg?: PaddingDigestName
  /** @defaultValue MGF1 with that digest */
  mgf?: MaskGenerationFunctionName
  /**
   * length of the salt in bytes
   * @defaultValue the digest's length
   */
  saltLength?: number
}

/** Elliptic-curve Diffie-Hellman. PKCS#11 2.40 Current Mechanisms, "Elliptic Curve". */
export interface EcdhMechanism {
  mechanism: (typeof ECDH_MECHANISMS)[number]
  /** the other party's public point: raw (04 x y), or DER where the token wants it so */
  publicData: Uint8Array
  /** @defaultValue `'CKD_NULL'`, the shared secret as it is */
  kdf?: KeyDerivationFunctionName
  /** what both parties feed to the kdf beside the secret */
  sharedData?: Uint8Array
}

/** Diffie-Hellman modulo a prime. PKCS#11 2.40 Current Mechanisms, "Diffie-Hellman". */
export interface DhDeriveMechanism {
  mechanism: 'CKM_DH_PKCS_DERIVE'
  /** the other party's public value, big-endian */
  publicData: Uint8Array
}

/**
 * Derivation from a key and a string of bytes. PKCS#11 2.40 Current Mechanisms, "Key derivation by data encryption" and
 * "Miscellaneous simple key derivation mechanisms".
 */
export interface StringDataMechanism {
  mechanism: (typeof STRING_DATA_MECHANISMS)[number]
  /** whole blocks for the `…_ECB_ENCRYPT_DATA` ones */
  data: Uint8Array
}

/** Derivation by encrypting data in CBC mode. PKCS#11 2.40 Current Mechanisms, "Key derivation by data encryption". */
export interface CbcDataMechanism {
  mechanism: keyof typeof CBC_DATA_MECHANISMS
  /** 16 bytes, 8 for DES and triple DES */
  iv: Uint8Array
  /** whole blocks */
  data: Uint8Array
}

/** A MAC cut to a length. PKCS#11 2.40 Current Mechanisms, the sections of the digests and ciphers. */
export interface MacLengthMechanism {
  mechanism: (typeof MAC_LENGTH_MECHANISMS)[number]
  /** length of the MAC in bytes */
  macLength: number
}

/** A key made of a part of another. PKCS#11 2.40 Current Mechanisms, "Miscellaneous simple key derivation mechanisms". */
export interface ExtractKeyMechanism {
  mechanism: 'CKM_EXTRACT_KEY_FROM_KEY'
  /** the bit of the base key that becomes the first, 0 being its first */
  firstBit: number
}

/** A key followed by another. PKCS#11 2.40 Current Mechanisms, "Miscellaneous simple key derivation mechanisms". */
export interface ConcatenateKeyMechanism {
  mechanism: 'CKM_CONCATENATE_BASE_AND_KEY'
  /** handle of the key that follows */
  key: number | bigint
}

/** Mechanisms that take no parameter. */
export type PlainMechanismName = Exclude<
  keyof typeof CURRENT_MECHANISM_TYPES,
  ParameterMechanism['mechanism'] | (typeof UNSUPPORTED_MECHANISMS)[number]
>

/** A mechanism without parameter, written as an object; its name alone does as well. */
export interface PlainMechanism {
  mechanism: PlainMechanismName
}

/** A vendor's own mechanism, or one that is newer than this library. */
export interface VendorMechanism {
  /** its number, 0x80000000 and up for vendors */
  mechanism: number
  /** the parameter's bytes, exactly as the module reads them; a structure with pointers cannot be passed so */
  parameter?: Uint8Array
}

/** Mechanisms that take parameters. */
export type ParameterMechanism =
  | IvMechanism
  | AesKeyWrapMechanism
  | AesGcmMechanism
  | AesCcmMechanism
  | CounterMechanism
  | RsaOaepMechanism
  | RsaPssMechanism
  | RsaPssDigestMechanism
  | EcdhMechanism
  | DhDeriveMechanism
  | StringDataMechanism
  | CbcDataMechanism
  | MacLengthMechanism
  | ExtractKeyMechanism
  | ConcatenateKeyMechanism

/** Mechanisms whose name alone says enough: all their parameters may be left out. */
export type MechanismByName = PlainMechanismName | AesKeyWrapMechanism['mechanism'] | RsaPssDigestMechanism['mechanism']

/**
 * What to compute with: the standard's name where that says enough (`'CKM_SHA256_RSA_PKCS'`), else an object with the
 * mechanism's parameters (`{ mechanism: 'CKM_AES_CBC_PAD', iv }`). A vendor's own goes by number:
 * `{ mechanism: 0x80000001, parameter }`.
 */
export type Mechanism = MechanismByName | PlainMechanism | ParameterMechanism | VendorMechanism

const packedByName = new Map<string, PackedMechanism>()
const names = namesByNumber(MECHANISM_TYPES)

/** The standard's name of a mechanism, or `CKM_0x…` where it has none. */
export function mechanismName(type: number): MechanismName | `CKM_0x${string}` {
  return names.get(type) ?? `CKM_${hex32(type)}`
}

/**
 * Packs a mechanism for the engine. What it returns may be shared between calls: it is read, never changed.
 *
 * @throws `INVALID_ARGUMENT` for an unknown mechanism or field, and for a missing one or one of the wrong type or length
 */
export function packMechanism(mechanism: Mechanism): PackedMechanism {
  if (typeof mechanism === 'string') return packedByName.get(mechanism) ?? packByName(mechanism)
  if (typeof mechanism !== 'object' || mechanism === null) {
    throw new Pkcs11PoolError(
      'INVALID_ARGUMENT',
      `mechanism is ${describeValue(mechanism)}, expected a name such as 'CKM_SHA256_RSA_PKCS' or an object such as { mechanism: 'CKM_AES_CBC_PAD', iv }`,
    )
  }
  const name: unknown = mechanism.mechanism
  if (typeof name === 'number') return packVendor(name, mechanism as VendorMechanism)
  const shape = mechanismShape(name)
  if (shape === undefined) throw unknownMechanism(name)
  for (const field in mechanism) {
    if (!shape.fields.includes(field)) throw unknownField(shape.name, shape.fields, field)
  }
  return shape.pack(shape, mechanism as unknown as Fields)
}

function packByName(name: string): PackedMechanism {
  const shape = mechanismShape(name)
  if (shape === undefined) throw unknownMechanism(name)
  const packed = shape.pack(shape, { mechanism: name })
  packedByName.set(name, packed)
  return packed
}

function packVendor(type: number, mechanism: VendorMechanism): PackedMechanism {
  if (!Number.isInteger(type) || type < 0 || type > MAX_ULONG) {
    throw badField('by number', 'mechanism', type, `an integer from 0 to ${MAX_ULONG}`)
  }
  const name = names.get(type)
  // A standard structure given as bytes could hold pointers, and a wrong one takes the process down.
  if (name !== undefined) {
    throw new Pkcs11PoolError('INVALID_ARGUMENT', `mechanism is ${hex32(type)}, expected its name: '${name}'`)
  }
  for (const field in mechanism) {
    if (field !== 'mechanism' && field !== 'parameter')
      throw unknownField(hex32(type), ['mechanism', 'parameter'], field)
  }
  if (mechanism.parameter === undefined) return packedMechanism(type, ParameterKind.NONE)
  const parameter = bytesField(hex32(type), mechanism as unknown as Fields, 'parameter', 0, MAX_ULONG)
  return packedMechanism(type, ParameterKind.BYTES, 0, 0, 0, parameter)
}

function unknownMechanism(name: unknown): Pkcs11PoolError {
  if (typeof name !== 'string') {
    return new Pkcs11PoolError(
      'INVALID_ARGUMENT',
      `the field mechanism is ${describeValue(name)}, expected a name such as 'CKM_AES_CBC_PAD', or a vendor's number`,
    )
  }
  if (Object.hasOwn(MECHANISM_TYPES, name)) {
    return new Pkcs11PoolError(
      'INVALID_ARGUMENT',
      `mechanism ${name} is known, but this library has no form for its parameters; use another mechanism`,
    )
  }
  return new Pkcs11PoolError(
    'INVALID_ARGUMENT',
    `mechanism is ${quoted(name)}, expected a name of the PKCS#11 standard${didYouMean(name, usableMechanisms())}`,
  )
}

function unknownField(name: string, fields: MechanismShape['fields'], field: string): Pkcs11PoolError {
  return new Pkcs11PoolError(
    'INVALID_ARGUMENT',
    `mechanism ${name} has no field ${quoted(field)}, expected only ${fields.join(', ')}${didYouMean(field, fields)}`,
  )
}
