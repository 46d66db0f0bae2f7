import { isUint8Array } from 'node:util/types'
import {
  KEY_DERIVATION_FUNCTIONS,
  MASK_GENERATION_FUNCTIONS,
  PADDING_DIGESTS,
  type PaddingDigestName,
} from './mechanism-constants.js'
import {
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
import { badField, bytesField, type Fields, integerField, namedField, optionalBytesField } from './mechanism-fields.js'
import { CURRENT_MECHANISM_TYPES } from './mechanism-types.js'
import { MECHANISM_HEADER_SIZE, NO_BYTES, packedMechanism } from './packed-mechanism.js'
import { type PackedMechanism, ParameterKind } from './protocol.js'
import { MAX_ULONG } from './ulong.js'

/** How one mechanism's fields are checked and packed. */
export interface MechanismShape {
  readonly name: string
  readonly type: number
  /** the fields it may have, `mechanism` among them */
  readonly fields: readonly string[]
  readonly pack: (shape: MechanismShape, fields: Fields) => PackedMechanism
  /** length of the IV, 0 where the shape has none of a fixed length */
  readonly ivLength: number
  /** the packed bytes that do not depend on the fields: all but the IV where there is one */
  readonly prefix: Uint8Array
}

type CurrentName = keyof typeof CURRENT_MECHANISM_TYPES
type Pack = MechanismShape['pack']

const shapes = new Map<string, MechanismShape>()

/** The shape of a mechanism that can be used, or undefined. */
export function mechanismShape(name: unknown): MechanismShape | undefined {
  return shapes.get(name as string)
}

export function usableMechanisms(): string[] {
  return [...shapes.keys()]
}

function define(name: CurrentName, fields: readonly string[], pack: Pack, ivLength = 0): void {
  const type = CURRENT_MECHANISM_TYPES[name]
  const kind = ivLength === 0 ? ParameterKind.NONE : ParameterKind.BYTES
  const prefix = packedMechanism(type, kind, 0, 0, 0, new Uint8Array(ivLength)).slice(0, MECHANISM_HEADER_SIZE)
  shapes.set(name, { name, type, fields: ['mechanism', ...fields], pack, ivLength, prefix })
}

function packNothing(shape: MechanismShape): PackedMechanism {
  return shape.prefix
}

// The hot path: one allocation, two copies.
function packIv(shape: MechanismShape, fields: Fields): PackedMechanism {
  const iv = fields['iv']
  if (!isUint8Array(iv) || iv.length !== shape.ivLength) {
    throw badField(shape.name, 'iv', iv, `a Uint8Array of ${shape.ivLength} bytes`)
  }
  const packed = Buffer.allocUnsafe(MECHANISM_HEADER_SIZE + iv.length)
  packed.set(shape.prefix, 0)
  packed.set(iv, MECHANISM_HEADER_SIZE)
  return packed
}

function packOptionalIv(shape: MechanismShape, fields: Fields): PackedMechanism {
  return fields['iv'] === undefined ? packedMechanism(shape.type, ParameterKind.NONE) : packIv(shape, fields)
}

function packGcm({ name, type }: MechanismShape, fields: Fields): PackedMechanism {
  const iv = bytesField(name, fields, 'iv', 1, 256)
  return packedMechanism(type, ParameterKind.GCM, gcmTagBits(name, fields), 0, 0, iv, anyBytes(name, fields, 'aad'))
}

/**
 * AES-GCM for which the token chooses the IV: it writes `ivLength` bytes while it encrypts, which only SEAL gives back.
 *
 * @throws `INVALID_ARGUMENT`
 */
export function packGcmWithTokenIv(options: { ivLength: number; aad?: Uint8Array; tagBits?: number }): PackedMechanism {
  const name = 'CKM_AES_GCM'
  const fields: Fields = { ...options }
  const ivLength = integerField(name, fields, 'ivLength', 1, 256)
  const aad = anyBytes(name, fields, 'aad')
  return packedMechanism(
    CURRENT_MECHANISM_TYPES[name],
    ParameterKind.GCM,
    gcmTagBits(name, fields),
    ivLength,
    0,
    NO_BYTES,
    aad,
  )
}

function gcmTagBits(name: string, fields: Fields): number {
  const tagBits = fields['tagBits'] === undefined ? 128 : integerField(name, fields, 'tagBits', 32, 128)
  if (tagBits % 8 !== 0) throw badField(name, 'tagBits', tagBits, 'a multiple of 8 from 32 to 128')
  return tagBits
}

function packCcm({ name, type }: MechanismShape, fields: Fields): PackedMechanism {
  const nonce = bytesField(name, fields, 'nonce', 7, 13)
  const macLength = integerField(name, fields, 'macLength', 4, 16)
  if (macLength % 2 !== 0) throw badField(name, 'macLength', macLength, 'an even number from 4 to 16')
  const dataLength = integerField(name, fields, 'dataLength', 0, MAX_ULONG)
  return packedMechanism(type, ParameterKind.CCM, macLength, dataLength, 0, nonce, anyBytes(name, fields, 'aad'))
}

function packCounter({ name, type }: MechanismShape, fields: Fields): PackedMechanism {
  const counterBlock = bytesField(name, fields, 'counterBlock', 16, 16)
  return packedMechanism(type, ParameterKind.CTR, integerField(name, fields, 'counterBits', 1, 128), 0, 0, counterBlock)
}

function packOaep({ name, type }: MechanismShape, fields: Fields): PackedMechanism {
  const { hash, mgf } = digestAndMgf(name, fields, fields['hashAlg'])
  return packedMechanism(type, ParameterKind.OAEP, hash, mgf, 0, anyBytes(name, fields, 'source'))
}

function packPss({ name, type }: MechanismShape, fields: Fields): PackedMechanism {
  return packPssWith(name, type, fields, fields['hashAlg'])
}

function packPssWithDigest({ name, type }: MechanismShape, fields: Fields): PackedMechanism {
  const own = PSS_WITH_DIGEST_MECHANISMS[name as keyof typeof PSS_WITH_DIGEST_MECHANISMS]
  const { hashAlg } = fields
  if (hashAlg !== undefined) namedField(name, 'hashAlg', hashAlg, { [own]: CURRENT_MECHANISM_TYPES[own] })
  return packPssWith(name, type, fields, own)
}

function packPssWith(name: string, type: number, fields: Fields, hashAlg: unknown): PackedMechanism {
  const { hash, mgf, digestLength } = digestAndMgf(name, fields, hashAlg)
  const { saltLength } = fields
  const salt = saltLength === undefined ? digestLength : integerField(name, fields, 'saltLength', 0, MAX_ULONG)
  return packedMechanism(type, ParameterKind.PSS, hash, mgf, salt)
}

const DIGEST_TYPES: Readonly<Record<string, number>> = Object.fromEntries(
  Object.keys(PADDING_DIGESTS).map((name) => [name, CURRENT_MECHANISM_TYPES[name as PaddingDigestName]]),
)

function digestAndMgf(
  name: string,
  fields: Fields,
  hashAlg: unknown,
): { hash: number; mgf: number; digestLength: number } {
  const hash = namedField(name, 'hashAlg', hashAlg, DIGEST_TYPES)
  const digest = PADDING_DIGESTS[hashAlg as PaddingDigestName]
  const mgf = namedField(name, 'mgf', fields['mgf'] ?? digest.mgf, MASK_GENERATION_FUNCTIONS)
  return { hash, mgf, digestLength: digest.length }
}

function packEcdh({ name, type }: MechanismShape, fields: Fields): PackedMechanism {
  const kdf = namedField(name, 'kdf', fields['kdf'] ?? 'CKD_NULL', KEY_DERIVATION_FUNCTIONS)
  const publicData = bytesField(name, fields, 'publicData', 1, MAX_ULONG)
  return packedMechanism(type, ParameterKind.ECDH1, kdf, 0, 0, publicData, anyBytes(name, fields, 'sharedData'))
}

function packPublicData({ name, type }: MechanismShape, fields: Fields): PackedMechanism {
  return packedMechanism(type, ParameterKind.BYTES, 0, 0, 0, bytesField(name, fields, 'publicData', 1, MAX_ULONG))
}

function packStringData({ name, type }: MechanismShape, fields: Fields): PackedMechanism {
  return packedMechanism(type, ParameterKind.STRING_DATA, 0, 0, 0, bytesField(name, fields, 'data', 0, MAX_ULONG))
}

function packCbcData({ name, type, ivLength }: MechanismShape, fields: Fields): PackedMechanism {
  const kind = ivLength === 16 ? ParameterKind.CBC16_DATA : ParameterKind.CBC8_DATA
  const iv = bytesField(name, fields, 'iv', ivLength, ivLength)
  return packedMechanism(type, kind, 0, 0, 0, iv, bytesField(name, fields, 'data', 0, MAX_ULONG))
}

function packMacLength({ name, type }: MechanismShape, fields: Fields): PackedMechanism {
  return packedMechanism(type, ParameterKind.ULONG, integerField(name, fields, 'macLength', 1, MAX_ULONG))
}

function packFirstBit({ name, type }: MechanismShape, fields: Fields): PackedMechanism {
  return packedMechanism(type, ParameterKind.ULONG, integerField(name, fields, 'firstBit', 0, MAX_ULONG))
}

function packKey({ name, type }: MechanismShape, fields: Fields): PackedMechanism {
  const { key } = fields
  const isHandle = typeof key === 'bigint' && key > 0n && key <= 0xffff_ffff_ffff_ffffn
  return packedMechanism(
    type,
    ParameterKind.ULONG,
    isHandle ? key : integerField(name, fields, 'key', 1, Number.MAX_SAFE_INTEGER),
  )
}

function anyBytes(name: string, fields: Fields, field: string): Uint8Array {
  return optionalBytesField(name, fields, field, 0, MAX_ULONG) ?? NO_BYTES
}

function entries<Name extends string, Value>(table: Readonly<Record<Name, Value>>): [Name, Value][] {
  return Object.entries(table) as [Name, Value][]
}

for (const [name, ivLength] of entries(IV_MECHANISMS)) define(name, ['iv'], packIv, ivLength)
for (const [name, ivLength] of entries(OPTIONAL_IV_MECHANISMS)) define(name, ['iv'], packOptionalIv, ivLength)
for (const name of COUNTER_MECHANISMS) define(name, ['counterBlock', 'counterBits'], packCounter)
for (const name of ECDH_MECHANISMS) define(name, ['publicData', 'kdf', 'sharedData'], packEcdh)
for (const name of STRING_DATA_MECHANISMS) define(name, ['data'], packStringData)
for (const [name, ivLength] of entries(CBC_DATA_MECHANISMS)) define(name, ['iv', 'data'], packCbcData, ivLength)
for (const name of MAC_LENGTH_MECHANISMS) define(name, ['macLength'], packMacLength)
for (const [name] of entries(PSS_WITH_DIGEST_MECHANISMS)) {
  define(name, ['hashAlg', 'mgf', 'saltLength'], packPssWithDigest)
}
define('CKM_RSA_PKCS_PSS', ['hashAlg', 'mgf', 'saltLength'], packPss)
define('CKM_RSA_PKCS_OAEP', ['hashAlg', 'mgf', 'source'], packOaep)
define('CKM_AES_GCM', ['iv', 'aad', 'tagBits'], packGcm)
define('CKM_AES_CCM', ['nonce', 'dataLength', 'macLength', 'aad'], packCcm)
define('CKM_DH_PKCS_DERIVE', ['publicData'], packPublicData)
define('CKM_EXTRACT_KEY_FROM_KEY', ['firstBit'], packFirstBit)
define('CKM_CONCATENATE_BASE_AND_KEY', ['key'], packKey)

const unsupported: ReadonlySet<string> = new Set(UNSUPPORTED_MECHANISMS)
for (const [name] of entries(CURRENT_MECHANISM_TYPES)) {
  if (!shapes.has(name) && !unsupported.has(name)) define(name, [], packNothing)
}
