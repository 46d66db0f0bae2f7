// Run as a process of its own by `softhsm.ts`: one request on stdin, one answer on stdout. The caller's process thereby neither
// loads the module nor names a PIN in an argument list. It goes through pkcs11js, which shares no code with the library under test.
import { readFileSync } from 'node:fs'
import pkcs11js from 'pkcs11js'
import type { KeySpec } from './softhsm.js'

export interface TokenRequest {
  module: string
  /** a token to initialise in the free slot */
  create: { label: string; pin: string | null; soPin: string } | null
  /** the token to work on where none is created; null asks for the slot without a token */
  serial: string | null
  pin: string | null
  keys: KeySpec[]
}

export interface CreatedToken {
  slot: number
  serial: string
}

const CKF_TOKEN_INITIALIZED = 0x400
const P256 = Buffer.from('06082a8648ce3d030107', 'hex')

const request = JSON.parse(readFileSync(0, 'utf8')) as TokenRequest
const pkcs11 = new pkcs11js.PKCS11()
pkcs11.load(request.module)
pkcs11.C_Initialize()
process.stdout.write(JSON.stringify(serve(request)))
pkcs11.C_Finalize()

function serve({ create, serial, pin, keys }: TokenRequest): CreatedToken {
  const token = create === null ? findToken(serial) : createToken(create)
  if (keys.length > 0) {
    const session = openSession(token.slot)
    pkcs11.C_Login(session, pkcs11js.CKU_USER, pin ?? '')
    for (const key of keys) createKeys(session, key)
  }
  return token
}

function createToken({ label, pin, soPin }: { label: string; pin: string | null; soPin: string }): CreatedToken {
  const { slot } = findToken(null)
  // CK_UTF8CHAR label[32], padded: the module reads all of it
  pkcs11.C_InitToken(handle(slot), soPin, label + ' '.repeat(32 - Buffer.byteLength(label)))
  if (pin !== null) {
    const session = openSession(slot)
    pkcs11.C_Login(session, pkcs11js.CKU_SO, soPin)
    pkcs11.C_InitPIN(session, pin)
    pkcs11.C_CloseSession(session)
  }
  const { serialNumber } = pkcs11.C_GetTokenInfo(handle(slot))
  // SoftHSM numbers its slots anew when it is initialised next
  pkcs11.C_Finalize()
  pkcs11.C_Initialize()
  return findToken(serialNumber.trim())
}

function findToken(serial: string | null): CreatedToken {
  for (const bytes of pkcs11.C_GetSlotList(true)) {
    const info = pkcs11.C_GetTokenInfo(bytes)
    const found = serial === null ? (info.flags & CKF_TOKEN_INITIALIZED) === 0 : info.serialNumber.trim() === serial
    if (found) return { slot: Number(bytes.readBigUInt64LE()), serial: info.serialNumber.trim() }
  }
  throw new Error(`SoftHSM has no ${serial === null ? 'free slot' : `token with the serial number ${serial}`}`)
}

function createKeys(session: pkcs11js.Handle, spec: KeySpec): void {
  const { label, id = 1, type = 'aes-256', count = 1, numbered = false } = spec
  for (let number = id; number < id + count; number++) {
    createKey(session, type, numbered ? `${label}-${number}` : label, number)
  }
}

function createKey(session: pkcs11js.Handle, type: NonNullable<KeySpec['type']>, label: string, id: number): void {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(id)
  const common = [
    { type: pkcs11js.CKA_TOKEN, value: true },
    { type: pkcs11js.CKA_LABEL, value: label },
    { type: pkcs11js.CKA_ID, value: bytes },
  ]
  const secret = [
    { type: pkcs11js.CKA_PRIVATE, value: true },
    { type: pkcs11js.CKA_SENSITIVE, value: true },
    { type: pkcs11js.CKA_EXTRACTABLE, value: false },
  ]
  const cipher = [
    { type: pkcs11js.CKA_ENCRYPT, value: true },
    { type: pkcs11js.CKA_DECRYPT, value: true },
  ]
  const signing = [{ type: pkcs11js.CKA_SIGN, value: true }]
  const verifying = [{ type: pkcs11js.CKA_VERIFY, value: true }]
  switch (type) {
    case 'aes-128':
    case 'aes-256': {
      const length = [{ type: pkcs11js.CKA_VALUE_LEN, value: type === 'aes-256' ? 32 : 16 }]
      pkcs11.C_GenerateKey(session, { mechanism: pkcs11js.CKM_AES_KEY_GEN }, [
        ...common,
        ...secret,
        ...cipher,
        ...length,
      ])
      break
    }
    case 'des3':
      pkcs11.C_GenerateKey(session, { mechanism: pkcs11js.CKM_DES3_KEY_GEN }, [...common, ...secret, ...cipher])
      break
    case 'ec-p256': {
      const curve = [{ type: pkcs11js.CKA_EC_PARAMS, value: P256 }]
      pkcs11.C_GenerateKeyPair(
        session,
        { mechanism: pkcs11js.CKM_EC_KEY_PAIR_GEN },
        [...common, ...verifying, ...curve],
        [...common, ...secret, ...signing],
      )
      break
    }
    case 'rsa-2048': {
      const modulus = [
        { type: pkcs11js.CKA_MODULUS_BITS, value: 2048 },
        { type: pkcs11js.CKA_PUBLIC_EXPONENT, value: Buffer.from([1, 0, 1]) },
      ]
      pkcs11.C_GenerateKeyPair(
        session,
        { mechanism: pkcs11js.CKM_RSA_PKCS_KEY_PAIR_GEN },
        [...common, ...verifying, { type: pkcs11js.CKA_ENCRYPT, value: true }, ...modulus],
        [...common, ...secret, ...signing, { type: pkcs11js.CKA_DECRYPT, value: true }],
      )
      break
    }
  }
}

function openSession(slot: number): pkcs11js.Handle {
  return pkcs11.C_OpenSession(handle(slot), pkcs11js.CKF_SERIAL_SESSION | pkcs11js.CKF_RW_SESSION)
}

function handle(slot: number): pkcs11js.Handle {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(slot))
  return bytes
}
