import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ATTRIBUTES, NESTED_TEMPLATE_ATTRIBUTES } from '../../src/pkcs11/attribute-types.js'
import {
  MECHANISM_FLAGS,
  SESSION_FLAGS,
  SESSION_STATES,
  SLOT_FLAGS,
  TOKEN_FLAGS,
  USER_TYPES,
} from '../../src/pkcs11/flags.js'
import { KEY_DERIVATION_FUNCTIONS, MASK_GENERATION_FUNCTIONS } from '../../src/pkcs11/mechanism-constants.js'
import { CURRENT_MECHANISM_TYPES, MECHANISM_TYPES } from '../../src/pkcs11/mechanism-types.js'
import { HISTORICAL_MECHANISM_TYPES } from '../../src/pkcs11/mechanism-types-historical.js'
import {
  CERTIFICATE_TYPES,
  HARDWARE_FEATURE_TYPES,
  KEY_TYPES,
  OBJECT_CLASSES,
} from '../../src/pkcs11/object-classes.js'
import { RETURN_VALUES } from '../../src/pkcs11/return-values.js'

const attributes = Object.fromEntries(Object.entries(ATTRIBUTES).map(([name, { type }]) => [name, type]))
const returnValues = Object.fromEntries(Object.entries(RETURN_VALUES).map(([name, { rv }]) => [name, rv]))

/** Each table's numbers name one thing each; flags are tables of their own. */
const tables: Record<string, Readonly<Record<string, number>>> = {
  mechanisms: MECHANISM_TYPES,
  attributes: { ...attributes, ...NESTED_TEMPLATE_ATTRIBUTES },
  'return values': returnValues,
  'object classes': OBJECT_CLASSES,
  'key types': KEY_TYPES,
  'certificate types': CERTIFICATE_TYPES,
  'hardware features': HARDWARE_FEATURE_TYPES,
  'slot flags': SLOT_FLAGS,
  'token flags': TOKEN_FLAGS,
  'session flags': SESSION_FLAGS,
  'mechanism flags': MECHANISM_FLAGS,
  'user types': USER_TYPES,
  'session states': SESSION_STATES,
  'mask generation functions': MASK_GENERATION_FUNCTIONS,
  'key derivation functions': KEY_DERIVATION_FUNCTIONS,
}

const ours = new Map(Object.values(tables).flatMap((table) => Object.entries(table)))

const peer = dirname(createRequire(import.meta.url).resolve('pkcs11js/package.json'))

/** What the peer is compiled with: its addon need not be built to read it. */
function peerNumbers(): Map<string, number> {
  const header = readFileSync(join(peer, 'includes/pkcs11/pkcs11t.h'), 'utf8')
  const numbers = new Map<string, number>()
  for (const [, name, expression] of header.matchAll(/^#define\s+(CK[A-Z]_\w+)\s+(\(.+?\)|\S+)/gm)) {
    const terms = expression!.replace(/[()]/g, '').split('|')
    numbers.set(
      name!,
      terms.reduce((sum, term) => (sum | termValue(term.trim(), numbers)) >>> 0, 0),
    )
  }
  return numbers
}

function termValue(term: string, known: ReadonlyMap<string, number>): number {
  return known.get(term) ?? Number(term.replace(/UL$/, ''))
}

/** The names the peer offers its users. */
function peerNames(): string[] {
  const declarations = readFileSync(join(peer, 'index.d.ts'), 'utf8')
  return [...declarations.matchAll(/const (CK[A-Z]_\w+): number/g)].map(([, name]) => name!)
}

/** Families that the peer has and this library does not build parameters for. */
const notOurs = /^CK[PZN]_|^CKD_(SHA1_KDF_(ASN1|CONCATENATE)|CPDIVERSIFY_KDF)$|VENDOR_DEFINED$/

/** Names for a number that the standard has given another name since, and what it has removed. */
const replaced = new Set([
  'CKM_ECDSA_KEY_PAIR_GEN',
  'CKM_DSA_PROBABLISTIC_PARAMETER_GEN',
  'CKM_CAST5_KEY_GEN',
  'CKM_CAST5_ECB',
  'CKM_CAST5_CBC',
  'CKM_CAST5_MAC',
  'CKM_CAST5_MAC_GENERAL',
  'CKM_CAST5_CBC_PAD',
  'CKM_PBE_MD5_CAST5_CBC',
  'CKM_PBE_SHA1_CAST5_CBC',
  'CKK_ECDSA',
  'CKK_CAST5',
  'CKA_ECDSA_PARAMS',
  'CKA_SUB_PRIME_BITS',
  'CKA_SECONDARY_AUTH',
  'CKA_AUTH_PIN_FLAGS',
])

/** Flags of calls that this library makes itself or not at all. */
const callFlags = new Set([
  'CKF_ARRAY_ATTRIBUTE',
  'CKF_LIBRARY_CANT_CREATE_OS_THREADS',
  'CKF_OS_LOCKING_OK',
  'CKF_DONT_BLOCK',
  'CKF_NEXT_OTP',
  'CKF_EXCLUDE_TIME',
  'CKF_EXCLUDE_COUNTER',
  'CKF_EXCLUDE_CHALLENGE',
  'CKF_EXCLUDE_PIN',
  'CKF_USER_FRIENDLY_OTP',
])

describe('the tables of constants', () => {
  it('agree with pkcs11js wherever it has the same name', () => {
    const theirs = peerNumbers()
    const shared = [...ours.keys()].filter((name) => theirs.has(name))
    expect(shared.length).toBeGreaterThan(600)
    expect(Object.fromEntries(shared.map((name) => [name, ours.get(name)]))).toEqual(
      Object.fromEntries(shared.map((name) => [name, theirs.get(name)])),
    )
  })

  it('have every name that pkcs11js offers, but for those that were replaced', () => {
    const names = peerNames()
    expect(names.length).toBeGreaterThan(600)
    const missing = names.filter(
      (name) => !ours.has(name) && !notOurs.test(name) && !replaced.has(name) && !callFlags.has(name),
    )
    expect(missing).toEqual([])
  })

  it.each(Object.entries(tables))('give no number to two names: %s', (_, table) => {
    const numbers = Object.values(table)
    expect(new Set(numbers).size).toBe(numbers.length)
  })

  it.each(Object.entries(tables))('hold nothing that is no CK_ULONG of 32 bits: %s', (_, table) => {
    for (const number of Object.values(table)) expect(number >>> 0).toBe(number)
  })

  it('have a mechanism either in use or as historical', () => {
    const both = Object.keys(CURRENT_MECHANISM_TYPES).filter((name) => Object.hasOwn(HISTORICAL_MECHANISM_TYPES, name))
    expect(both).toEqual([])
  })
})
