/**
 * What the native engine can be asked to do. Each is one hop: it leaves the event loop once and comes back once, however many
 * C_ functions it needs. The arguments after `submit`'s fixed four, and what a success answers:
 *
 * | operation | arguments | value |
 * |---|---|---|
 * | LOAD | path, string for C_Initialize or undefined | `[cryptoki major, minor]` |
 * | INSPECT | 0 to leave the mechanisms out | see `NativeModuleInfo` |
 * | OPEN_SESSION | slot, flags | the engine's number for the session |
 * | CLOSE_SESSION, LOGOUT | - | undefined |
 * | LOGIN | user type, pin or null | undefined |
 * | SESSION_INFO | - | `[slot, state, flags, device error]` |
 * | FIND | template, max count, attribute types or null | `[handle, attributes or null, handle, …]` |
 * | GET_ATTRIBUTES | object, attribute types | a Buffer an attribute, null where it cannot be read |
 * | SET_ATTRIBUTES | object, template | undefined |
 * | CREATE_OBJECT | template | handle |
 * | COPY_OBJECT | object, template | handle |
 * | DESTROY_OBJECT | object | undefined |
 * | GENERATE_KEY | mechanism, template | handle |
 * | GENERATE_KEY_PAIR | mechanism, public template, private template | `[public handle, private handle]` |
 * | WRAP_KEY | mechanism, wrapping key, key | Buffer |
 * | UNWRAP_KEY | mechanism, unwrapping key, wrapped bytes, template | handle |
 * | DERIVE_KEY | mechanism, base key, template | handle |
 * | ENCRYPT, DECRYPT, SIGN | mechanism, key, data; DECRYPT and SIGN: a Pin or null for CKU_CONTEXT_SPECIFIC, or undefined | Buffer |
 * | VERIFY | mechanism, key, data, signature | undefined; a wrong signature is its CKR |
 * | DIGEST | mechanism, data | Buffer |
 * | SEAL | AES-GCM mechanism, key, data | `[ciphertext and tag, the IV the token used]` |
 * | GENERATE_RANDOM | length | Buffer |
 * | SEED_RANDOM | data | undefined |
 * | BATCH | array of `[operation, mechanism, key, data, signature?]` | `[rv, function index, value]` an item; those that had not run by the deadline have the rv of `Outcome` |
 * | LOAD_PIN | pin | undefined |
 * | UNLOAD | - | undefined |
 * | TOKEN_INFO | slot | a `NativeTokenInfo` |
 * | REINITIALIZE | milliseconds to wait for calls that are inside, 1 to disturb other users of the module though they have not all asked for it lately | a number of {@link Reinitialization} |
 * | DROP_SESSIONS | - | undefined; all sessions are closed, one in which a call runs after it, and none is known any more |
 */
export const Operation = {
  LOAD: 0,
  INSPECT: 1,
  OPEN_SESSION: 2,
  CLOSE_SESSION: 3,
  LOGIN: 4,
  LOGOUT: 5,
  SESSION_INFO: 6,
  FIND: 7,
  GET_ATTRIBUTES: 8,
  SET_ATTRIBUTES: 9,
  CREATE_OBJECT: 10,
  COPY_OBJECT: 11,
  DESTROY_OBJECT: 12,
  GENERATE_KEY: 13,
  GENERATE_KEY_PAIR: 14,
  WRAP_KEY: 15,
  UNWRAP_KEY: 16,
  DERIVE_KEY: 17,
  ENCRYPT: 18,
  DECRYPT: 19,
  SIGN: 20,
  VERIFY: 21,
  DIGEST: 22,
  SEAL: 23,
  GENERATE_RANDOM: 24,
  SEED_RANDOM: 25,
  BATCH: 26,
  LOAD_PIN: 27,
  UNLOAD: 28,
  TOKEN_INFO: 29,
  DROP_SESSIONS: 30,
  REINITIALIZE: 31,
} as const
export type Operation = (typeof Operation)[keyof typeof Operation]

/** What came of REINITIALIZE. Until it was done or adopted, every other call answers CKR_CRYPTOKI_NOT_INITIALIZED once another client had it done. */
export const Reinitialization = {
  /** C_Finalize and C_Initialize were called: no session of any client is one any more */
  DONE: 0,
  /** another client had it done since this one last knew: its own sessions are none any more */
  ADOPTED: 1,
  /** calls were inside until the time was up; C_Finalize beside them is undefined */
  BUSY: 2,
  /** other clients use the module, have not asked for it themselves, and were not to be disturbed */
  SHARED: 3,
} as const
export type Reinitialization = (typeof Reinitialization)[keyof typeof Reinitialization]

/** What stands in the place of a CK_RV when a job did not get one. */
export const Outcome = {
  /** the deadline passed while it waited for a thread: nothing reached the token */
  EXPIRED: -1,
  /** the deadline passed inside the call: the outcome is unknown, thread and session are quarantined */
  ABANDONED: -2,
  /** as many calls hang as the engine has threads to lose: nothing reached the token */
  STALLED: -3,
  /** an abandoned job's call has returned after all; the value is its CK_RV */
  LATE: -4,
  /** the engine was disposed of first: nothing reached the token */
  DISPOSED: -5,
  /** LOAD or LOAD_PIN failed outside PKCS#11; the value is the reason */
  SYSTEM: -6,
  /** LOAD: somebody's C_Initialize or C_Finalize of the module has not returned: nothing of this one reached it */
  UNSETTLED: -7,
} as const

/**
 * One mechanism, packed by `mechanisms.ts`: little-endian `type u64, kind u32, n1 u64, n2 u64, n3 u64, length of a u32,
 * length of b u32`, then the bytes of a and b. What the fields mean depends on the kind, see {@link ParameterKind}.
 */
export type PackedMechanism = Uint8Array

/** How the engine builds a mechanism's C structure from the packed fields. */
export const ParameterKind = {
  /** no parameter */
  NONE: 0,
  /** a: the parameter's bytes as they are (IV, vendor structure) */
  BYTES: 1,
  /** CK_GCM_PARAMS. a: IV, b: AAD, n1: tag bits. An empty IV of n2 bytes lets the token choose */
  GCM: 2,
  /** CK_AES_CTR_PARAMS. a: counter block of 16, n1: counter bits */
  CTR: 3,
  /** CK_RSA_PKCS_OAEP_PARAMS. n1: hash, n2: mgf, a: source data (label) */
  OAEP: 4,
  /** CK_RSA_PKCS_PSS_PARAMS. n1: hash, n2: mgf, n3: salt length */
  PSS: 5,
  /** CK_ECDH1_DERIVE_PARAMS. n1: kdf, a: other party's public data, b: shared data */
  ECDH1: 6,
  /** CK_CCM_PARAMS. a: nonce, b: AAD, n1: MAC length, n2: data length */
  CCM: 7,
  /** CK_KEY_DERIVATION_STRING_DATA. a: data */
  STRING_DATA: 8,
  /** CK_AES_CBC_ENCRYPT_DATA_PARAMS (and CAMELLIA, ARIA). a: IV of 16, b: data */
  CBC16_DATA: 9,
  /** CK_DES_CBC_ENCRYPT_DATA_PARAMS. a: IV of 8, b: data */
  CBC8_DATA: 10,
  /** one CK_ULONG, n1 (CKM_EXTRACT_KEY_FROM_KEY, CKM_*_HMAC_GENERAL, a CK_OBJECT_HANDLE) */
  ULONG: 11,
} as const

/**
 * Attributes, packed by `templates.ts`: little-endian `count u32`, then for each `type u64, length u32` and the value's bytes
 * as PKCS#11 wants them (a CK_ULONG has `ulongSize` bytes in the machine's order, a CK_BBOOL one).
 */
export type PackedTemplate = Uint8Array

/** What INSPECT answers: names as PKCS#11 has them, padding removed. */
export interface NativeModuleInfo {
  cryptokiVersion: [number, number]
  manufacturerID: string
  libraryDescription: string
  libraryVersion: [number, number]
  /** the version of the function list in use: 2.x by C_GetFunctionList, 3.x by C_GetInterface */
  interfaceVersion: [number, number]
  slots: NativeSlotInfo[]
}

export interface NativeSlotInfo {
  slotID: number
  slotDescription: string
  manufacturerID: string
  flags: number
  /** null where no token is present or it cannot be asked */
  token: NativeTokenInfo | null
  /** `[type, min key size, max key size, flags]` a mechanism */
  mechanisms: [number, number, number, number][]
}

export interface NativeTokenInfo {
  label: string
  manufacturerID: string
  model: string
  serialNumber: string
  flags: number
  /** CK_UNAVAILABLE_INFORMATION is -1, CK_EFFECTIVELY_INFINITE is 0 where the standard has it so */
  maxSessionCount: number
  sessionCount: number
  maxRwSessionCount: number
  rwSessionCount: number
  maxPinLen: number
  minPinLen: number
  totalPublicMemory: number
  freePublicMemory: number
  totalPrivateMemory: number
  freePrivateMemory: number
  hardwareVersion: [number, number]
  firmwareVersion: [number, number]
}

/** A PIN in locked native memory. */
export interface NativePin {
  /** forgets the PIN: its memory is wiped */
  wipe(): void
  /** whether both are the same bytes: false where one has been wiped or its file not been read */
  equals(other: NativePin): boolean
}

export interface NativeEngineStats {
  threads: number
  idleThreads: number
  queued: number
  running: number
  /** calls that did not return by their deadline and have not returned since */
  hung: number
  /** calls that ever passed their deadline inside the module */
  abandoned: number
  sessions: number
  completed: number
  wakeups: number
}

/** The threads that run one client's calls. */
export interface NativeEngine {
  /**
   * Where answers of up to 64 bytes are while `onCompletions` runs: the value of their operation is then a number, place * 128 +
   * length, in the place of a Buffer.
   */
  readonly outbox: Uint8Array
  /**
   * Queues one job. `job` comes back in the completion; `session` is 0 for operations without one; `deadlineMs` counts from now,
   * 0 is at once, Infinity never. Throws a TypeError on arguments of the wrong shape, before anything is queued.
   */
  submit(job: number, operation: Operation, session: number, deadlineMs: number, ...args: unknown[]): void
  /** Takes back a job that has not started: true when it will not run. Its completion never comes then. */
  cancel(job: number): boolean
  /** How many threads may be alive, those in hanging calls not counted. */
  setMaxThreads(count: number): void
  stats(): NativeEngineStats
  /** Ends the threads after what runs; what is queued completes as DISPOSED. Idempotent. */
  dispose(): void
}

export interface NativeBinding {
  /**
   * `onCompletions` gets one flat array for all that finished since the last call: job, rv or Outcome, index into
   * `functionNames` of the function that returned it, value, and so on.
   */
  Engine: new (
    onCompletions: (batch: unknown[]) => void,
  ) => NativeEngine
  /** Exactly one source; `value` is copied at once, the other two are read natively by LOAD_PIN. */
  Pin: new (source: {
    file?: string
    env?: string
    value?: string | Uint8Array
  }) => NativePin
  functionNames: readonly string[]
  /** bytes in a CK_ULONG on this machine */
  ulongSize: 4 | 8
}
