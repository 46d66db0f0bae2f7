// Run as a process of its own by `ask-worker.ts`: one request on stdin, one answer on stdout. The caller's process thereby neither
// loads the module nor names a PIN in an argument list. It goes through pkcs11js, which shares no code with the library under test.
import { readFileSync } from 'node:fs'
import pkcs11js from 'pkcs11js'

/** Keys to make on a token: one, or `count` of them whose ids count up from `id`. */
export interface KeySpec {
  /** CKA_LABEL. With `numbered`, the key's id is appended: `key-1`, `key-2`, … */
  label: string
  /** CKA_ID as 4 bytes, big-endian. @defaultValue 1 */
  id?: number
  /** `aes-*` and `des3` are secret keys, `ec-p256` and `rsa-2048` pairs. @defaultValue 'aes-256' */
  type?: 'aes-128' | 'aes-256' | 'des3' | 'ec-p256' | 'rsa-2048'
  /** @defaultValue 1 */
  count?: number
  /** @defaultValue false */
  numbered?: boolean
}

/** An object on a token. */
export interface TokenObject {
  /** `CKO_PRIVATE_KEY` and the like, or the number of a class that has no name here */
  class: string
  label: string
  /** CKA_ID in hex */
  id: string
}

/** Which token: the one with that serial number or label, or the one that is not initialised yet. */
export type WantedToken = { serial: string } | { label: string } | 'uninitialized'

/** How a fresh token becomes one with a user PIN, which each software has its own way for. */
export type Initialization =
  /** C_InitToken, C_InitPIN */
  | { how: 'standard'; label: string; soPin: string; pin: string | null }
  /** the same, from a security officer's PIN that everybody knows, and with PINs that have to be changed once */
  | { how: 'opencryptoki'; label: string; soPin: string; pin: string; knownSoPin: string }
  /** the label is in what C_Initialize is told; C_InitPIN by a security officer without a PIN */
  | { how: 'nss'; label: string; pin: string }

export interface TokenRequest {
  module: string
  initializeArgs: string | null
  token: WantedToken
  /** what to do to the token first; null for one that is initialised */
  initialize: Initialization | null
  pin: string | null
  keys: KeySpec[]
  /** whether to list what is on the token */
  list: boolean
}

export interface TokenAnswer {
  slot: number
  serial: string
  objects: TokenObject[]
}

const CKF_TOKEN_INITIALIZED = 0x400
const P256 = Buffer.from('06082a8648ce3d030107', 'hex')
const CLASSES = ['CKO_DATA', 'CKO_CERTIFICATE', 'CKO_PUBLIC_KEY', 'CKO_PRIVATE_KEY', 'CKO_SECRET_KEY']

const request = JSON.parse(readFileSync(0, 'utf8')) as TokenRequest
const pkcs11 = new pkcs11js.PKCS11()
pkcs11.load(request.module)
initialize()
process.stdout.write(JSON.stringify(serve(request)))
pkcs11.C_Finalize()

function initialize(): void {
  const { initializeArgs } = request
  // NSS wants its string and nothing else; p11-kit refuses to start without locks
  if (initializeArgs === null) pkcs11.C_Initialize({ flags: pkcs11js.CKF_OS_LOCKING_OK })
  else pkcs11.C_Initialize({ libraryParameters: initializeArgs, flags: pkcs11js.CKF_OS_LOCKING_OK })
}

function serve({ token: wanted, initialize, pin, keys, list }: TokenRequest): TokenAnswer {
  const token = initialize === null ? findToken(wanted) : initializeToken(findToken(wanted), initialize)
  const answer: TokenAnswer = { ...token, objects: [] }
  if (keys.length === 0 && !list) return answer
  const session = openSession(token.slot)
  pkcs11.C_Login(session, pkcs11js.CKU_USER, pin ?? '')
  for (const key of keys) createKeys(session, key)
  if (list) answer.objects = listObjects(session)
  return answer
}

interface FoundToken {
  slot: number
  serial: string
}

function initializeToken({ slot }: FoundToken, how: Initialization): FoundToken {
  switch (how.how) {
    case 'standard': {
      initToken(slot, how.soPin, how.label)
      if (how.pin !== null) initPin(slot, how.soPin, how.pin)
      const { serialNumber } = pkcs11.C_GetTokenInfo(handle(slot))
      // SoftHSM numbers its slots anew when it is initialised next
      pkcs11.C_Finalize()
      initialize()
      // a TPM's has no serial number of its own
      return findToken(/[1-9a-f]/.test(serialNumber) ? { serial: serialNumber.trim() } : { label: how.label })
    }
    case 'opencryptoki': {
      initToken(slot, how.knownSoPin, how.label)
      const session = openSession(slot)
      pkcs11.C_Login(session, pkcs11js.CKU_SO, how.knownSoPin)
      pkcs11.C_SetPIN(session, how.knownSoPin, how.soPin)
      pkcs11.C_InitPIN(session, how.soPin)
      pkcs11.C_Logout(session)
      pkcs11.C_Login(session, pkcs11js.CKU_USER, how.soPin)
      pkcs11.C_SetPIN(session, how.soPin, how.pin)
      pkcs11.C_CloseSession(session)
      return findToken({ label: how.label })
    }
    case 'nss':
      initPin(slot, '', how.pin)
      return findToken({ label: how.label })
  }
}

function initToken(slot: number, soPin: string, label: string): void {
  // CK_UTF8CHAR label[32], padded: the module reads all of it
  pkcs11.C_InitToken(handle(slot), soPin, label + ' '.repeat(32 - Buffer.byteLength(label)))
}

function initPin(slot: number, soPin: string, pin: string): void {
  const session = openSession(slot)
  pkcs11.C_Login(session, pkcs11js.CKU_SO, soPin)
  pkcs11.C_InitPIN(session, pin)
  pkcs11.C_CloseSession(session)
}

function findToken(wanted: WantedToken): FoundToken {
  for (const bytes of pkcs11.C_GetSlotList(true)) {
    const { flags, label, serialNumber } = pkcs11.C_GetTokenInfo(bytes)
    const serial = serialNumber.trim()
    const found =
      wanted === 'uninitialized'
        ? (flags & CKF_TOKEN_INITIALIZED) === 0
        : 'serial' in wanted
          ? serial === wanted.serial
          : label.replace(/[ \0]+$/, '') === wanted.label
    if (found) return { slot: Number(bytes.readBigUInt64LE()), serial }
  }
  throw new Error(`${request.module} has no token that is ${JSON.stringify(wanted)}`)
}

function listObjects(session: pkcs11js.Handle): TokenObject[] {
  pkcs11.C_FindObjectsInit(session, [])
  const handles = pkcs11.C_FindObjects(session, 1_000)
  pkcs11.C_FindObjectsFinal(session)
  return handles.map((object) => {
    const [label, keyClass] = pkcs11.C_GetAttributeValue(session, object, [
      { type: pkcs11js.CKA_LABEL },
      { type: pkcs11js.CKA_CLASS },
    ])
    const number = bytesOf(keyClass).readUInt32LE()
    return {
      class: CLASSES[number] ?? String(number),
      label: String(bytesOf(label)),
      id: hasId(number) ? readId(session, object) : '',
    }
  })
}

/** Certificates and keys have one. */
function hasId(keyClass: number): boolean {
  return keyClass >= 1 && keyClass <= 4
}

function readId(session: pkcs11js.Handle, object: pkcs11js.Handle): string {
  const [id] = pkcs11.C_GetAttributeValue(session, object, [{ type: pkcs11js.CKA_ID }])
  return bytesOf(id).toString('hex')
}

function bytesOf(attribute: pkcs11js.Attribute | undefined): Buffer {
  return Buffer.from(attribute?.value as Buffer)
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
