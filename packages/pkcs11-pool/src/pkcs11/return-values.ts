import type { ErrorCategory } from '../errors.js'
import { hex32 } from './numbers.js'

/** What follows from a return value: every category but `pool`, which no PKCS#11 function can cause. */
export type ReturnValueCategory = Exclude<ErrorCategory, 'pool'>

/** What a return value shows of more than its own call. */
export type Shown =
  /** the token is not there: all its sessions have ended */
  | 'token gone'
  /** the session is not there: others may have ended with it */
  | 'session gone'
  /** the module has to be initialised before anything else can be done */
  | 'module not initialised'

/** What is done about what a value shows, beside what its category asks for: of `docs/errors.md`. */
export const SHOWN_HELP: Readonly<Record<Shown, string>> = {
  'token gone':
    'the breaker opens at once; all sessions are dropped, and when the token is back it is found and logged in anew',
  'session gone':
    'the session is closed and replaced; the one that holds the login is looked at, and when that is gone too all are dropped and the token ' +
    'is found and logged in anew; a call that changes nothing is then made again',
  'module not initialised':
    'C_Initialize is called again, once for all clients in the process and when no call is inside the module; a call that changes nothing ' +
    'is then made again',
}

/** What is known of one return value. */
export interface ReturnValue {
  /** the number, a CK_RV */
  readonly rv: number
  /** who has to act; it alone decides whether a session is discarded, a call tried again, a breaker opened */
  readonly category: ReturnValueCategory
  /** what it shows of other calls, where it does */
  readonly shows?: Shown
  /** the module does not say what went wrong, which may be the token: so many in a row have it looked at */
  readonly unnamed?: boolean
  /** what the pool does, where that is neither what its category asks for nor what it shows */
  readonly response?: string
  /** what happened, in plain language */
  readonly meaning: string
  /** what to do about it, where more can be said than the category's own next step */
  readonly action?: string
}

/**
 * Every return value of PKCS#11 2.40 and 3.1. This table alone decides what happens after a failed call.
 *
 * Where the standard leaves it open, the choices are: a value that says that the session lost its state is `session`;
 * FUNCTION_FAILED and the memory values are `overload`, because vendors answer them when they throttle; BUFFER_TOO_SMALL is
 * `session`, because it leaves an operation active; everything about a PIN is `credentials`, because trying again may lock it.
 *
 * Source: PKCS#11 2.40 and 3.1, section 5.1 "Function return values".
 */
export const RETURN_VALUES = {
  CKR_OK: { rv: 0x0000, category: 'caller', meaning: 'the function succeeded' },
  CKR_CANCEL: { rv: 0x0001, category: 'session', meaning: 'the call was cancelled while it ran' },
  CKR_HOST_MEMORY: {
    rv: 0x0002,
    category: 'overload',
    meaning: 'the module could not get the memory it needed on this machine',
    action: 'check the memory of this machine and the limits of the process',
  },
  CKR_SLOT_ID_INVALID: {
    rv: 0x0003,
    category: 'token',
    meaning: 'the slot is not there, or not there any more',
    action: 'select the token by label or serial number: slot numbers shift',
  },
  CKR_GENERAL_ERROR: {
    rv: 0x0005,
    category: 'session',
    unnamed: true,
    response:
      'the session is closed and replaced, or, where the call judges data that somebody sent, looked at and kept while it answers; so many in a row ' +
      'have the token looked at; a call that changes nothing, and judges no data, is made again on another',
    meaning: 'the module met an error that it cannot name',
    action: 'look into the log of the module and of the HSM',
  },
  CKR_FUNCTION_FAILED: {
    rv: 0x0006,
    category: 'overload',
    meaning: 'the token could not do it this time; vendors also answer so when there is too much load',
    action: 'try again later with less load; look into the log of the module when it stays',
  },
  CKR_ARGUMENTS_BAD: { rv: 0x0007, category: 'caller', meaning: 'the module takes an argument of the call for wrong' },
  CKR_NO_EVENT: { rv: 0x0008, category: 'caller', meaning: 'no slot has had an event' },
  CKR_NEED_TO_CREATE_THREADS: {
    rv: 0x0009,
    category: 'module',
    meaning: 'the module wants to start threads of its own and believes that it may not',
  },
  CKR_CANT_LOCK: {
    rv: 0x000a,
    category: 'module',
    meaning: 'the module cannot be used from several threads',
    action: 'ask the vendor for a thread-safe module',
  },
  CKR_ATTRIBUTE_READ_ONLY: {
    rv: 0x0010,
    category: 'caller',
    meaning: 'the template sets an attribute that cannot be set',
  },
  CKR_ATTRIBUTE_SENSITIVE: {
    rv: 0x0011,
    category: 'caller',
    meaning: 'the value of the attribute never leaves the token',
    action: 'do not ask for it: the object is sensitive or not extractable',
  },
  CKR_ATTRIBUTE_TYPE_INVALID: {
    rv: 0x0012,
    category: 'caller',
    meaning: 'the object has no such attribute, or the token does not know it',
    action: 'leave the attribute out',
  },
  CKR_ATTRIBUTE_VALUE_INVALID: {
    rv: 0x0013,
    category: 'caller',
    meaning: 'the template has a value that the attribute cannot take',
  },
  CKR_ACTION_PROHIBITED: {
    rv: 0x001b,
    category: 'caller',
    meaning: 'the object’s own policy forbids it (CKA_COPYABLE, CKA_DESTROYABLE)',
  },
  CKR_DATA_INVALID: { rv: 0x0020, category: 'caller', meaning: 'the input is not what the mechanism works on' },
  CKR_DATA_LEN_RANGE: {
    rv: 0x0021,
    category: 'caller',
    meaning: 'the input has a length the mechanism cannot take',
    action: 'a mechanism without padding wants whole blocks, RSA less than the modulus',
  },
  CKR_DEVICE_ERROR: {
    rv: 0x0030,
    category: 'token',
    meaning: 'the token or the way to it has failed',
    action: 'check the HSM, its log and the connection to it',
  },
  CKR_DEVICE_MEMORY: {
    rv: 0x0031,
    category: 'overload',
    meaning: 'the token has no memory left, for objects or for sessions',
    action: 'free objects or sessions on the token',
  },
  CKR_DEVICE_REMOVED: {
    rv: 0x0032,
    category: 'token',
    shows: 'token gone',
    meaning: 'the token was removed while it was in use',
  },
  CKR_ENCRYPTED_DATA_INVALID: {
    rv: 0x0040,
    category: 'caller',
    meaning: 'the ciphertext does not decrypt: it was altered, or key, IV or mechanism differ from those of encryption',
  },
  CKR_ENCRYPTED_DATA_LEN_RANGE: {
    rv: 0x0041,
    category: 'caller',
    meaning: 'the ciphertext has a length that this mechanism never produces',
    action: 'check that the whole ciphertext was given',
  },
  CKR_AEAD_DECRYPT_FAILED: {
    rv: 0x0042,
    category: 'caller',
    meaning: 'the tag does not fit: ciphertext, additional data, IV or key differ from those of encryption',
  },
  CKR_FUNCTION_CANCELED: { rv: 0x0050, category: 'session', meaning: 'the call was cancelled while it ran' },
  CKR_FUNCTION_NOT_PARALLEL: {
    rv: 0x0051,
    category: 'caller',
    meaning: 'no function runs in parallel in this session',
  },
  CKR_FUNCTION_NOT_SUPPORTED: {
    rv: 0x0054,
    category: 'caller',
    meaning: 'the module does not offer this function',
    action: 'see the vendor’s documentation for what the token can do',
  },
  CKR_KEY_HANDLE_INVALID: {
    rv: 0x0060,
    category: 'caller',
    response: 'the key is found again on the token, and a call that changes nothing made once more',
    meaning: 'the handle names no key, or none any more',
  },
  CKR_KEY_SIZE_RANGE: {
    rv: 0x0062,
    category: 'caller',
    meaning: 'the token does not take a key of this size for the mechanism',
    action: 'see the sizes that `inspectModule` gives for the mechanism',
  },
  CKR_KEY_TYPE_INCONSISTENT: {
    rv: 0x0063,
    category: 'caller',
    meaning: 'the key is of another type than the mechanism works with',
  },
  CKR_KEY_NOT_NEEDED: { rv: 0x0064, category: 'caller', meaning: 'a key was given where none is needed' },
  CKR_KEY_CHANGED: {
    rv: 0x0065,
    category: 'caller',
    meaning: 'the key differs from the one the saved state was made with',
  },
  CKR_KEY_NEEDED: { rv: 0x0066, category: 'caller', meaning: 'the saved state needs its key to be given' },
  CKR_KEY_INDIGESTIBLE: { rv: 0x0067, category: 'caller', meaning: 'the value of this key cannot be digested' },
  CKR_KEY_FUNCTION_NOT_PERMITTED: {
    rv: 0x0068,
    category: 'caller',
    meaning: 'the key’s own attributes do not allow this use',
    action: 'use a key that has the attribute for it (CKA_ENCRYPT, CKA_SIGN, …) and allows the mechanism',
  },
  CKR_KEY_NOT_WRAPPABLE: { rv: 0x0069, category: 'caller', meaning: 'the token cannot wrap this key' },
  CKR_KEY_UNEXTRACTABLE: {
    rv: 0x006a,
    category: 'caller',
    meaning: 'the key never leaves the token, not even wrapped (CKA_EXTRACTABLE is false)',
  },
  CKR_MECHANISM_INVALID: {
    rv: 0x0070,
    category: 'caller',
    meaning: 'the token does not offer the mechanism, or not for this function',
    action: 'use one of the mechanisms that `inspectModule` lists for the token',
  },
  CKR_MECHANISM_PARAM_INVALID: {
    rv: 0x0071,
    category: 'caller',
    meaning: 'the token does not take the mechanism’s parameters',
    action: 'check IV, lengths, hash and mgf against what the vendor documents',
  },
  CKR_OBJECT_HANDLE_INVALID: {
    rv: 0x0082,
    category: 'caller',
    response: 'the key is found again on the token, and a call that changes nothing made once more',
    meaning: 'the handle names no object, or none any more',
  },
  CKR_OPERATION_ACTIVE: {
    rv: 0x0090,
    category: 'session',
    response: 'the engine ends the operation and asks again; else the session is closed and replaced',
    meaning: 'the session still has an operation under way',
  },
  CKR_OPERATION_NOT_INITIALIZED: {
    rv: 0x0091,
    category: 'session',
    meaning: 'the session lost the operation that had been started in it',
  },
  CKR_PIN_INCORRECT: {
    rv: 0x00a0,
    category: 'credentials',
    meaning: 'the PIN is wrong',
    action: 'give the right one with setCredentials; this one is not sent again, because tokens lock after a few tries',
  },
  CKR_PIN_INVALID: {
    rv: 0x00a1,
    category: 'credentials',
    meaning: 'the PIN has characters that the token does not take',
  },
  CKR_PIN_LEN_RANGE: { rv: 0x00a2, category: 'credentials', meaning: 'the PIN is too short or too long for the token' },
  CKR_PIN_EXPIRED: {
    rv: 0x00a3,
    category: 'credentials',
    meaning: 'the PIN has expired',
    action: 'set a new one with the vendor’s tool, and give it with setCredentials',
  },
  CKR_PIN_LOCKED: {
    rv: 0x00a4,
    category: 'credentials',
    meaning: 'the PIN is locked after too many wrong tries',
    action: 'have the security officer unlock it, and give it again with setCredentials',
  },
  CKR_SESSION_CLOSED: {
    rv: 0x00b0,
    category: 'session',
    shows: 'session gone',
    meaning: 'the session was closed while the call ran',
  },
  CKR_SESSION_COUNT: {
    rv: 0x00b1,
    category: 'overload',
    response: 'the pool is held to what is open, callers wait for those, and the token is asked again later',
    meaning: 'the token allows no more sessions; those of other programs count too',
    action: 'lower `maxSize`, or close sessions elsewhere',
  },
  CKR_SESSION_HANDLE_INVALID: {
    rv: 0x00b3,
    category: 'session',
    shows: 'session gone',
    meaning: 'the session is not there any more: the token dropped it',
  },
  CKR_SESSION_PARALLEL_NOT_SUPPORTED: {
    rv: 0x00b4,
    category: 'caller',
    meaning: 'the module has no parallel sessions',
  },
  CKR_SESSION_READ_ONLY: {
    rv: 0x00b5,
    category: 'caller',
    meaning: 'the session may only read',
    action: 'use a read-write session to make, change or destroy token objects',
  },
  CKR_SESSION_EXISTS: {
    rv: 0x00b6,
    category: 'caller',
    meaning: 'a session is open, so the token cannot be initialised',
  },
  CKR_SESSION_READ_ONLY_EXISTS: {
    rv: 0x00b7,
    category: 'caller',
    meaning: 'a read-only session is open, so the security officer cannot log in',
  },
  CKR_SESSION_READ_WRITE_SO_EXISTS: {
    rv: 0x00b8,
    category: 'caller',
    meaning: 'the security officer is logged in, so no read-only session can be opened',
  },
  CKR_SIGNATURE_INVALID: {
    rv: 0x00c0,
    category: 'caller',
    response: '`verify` answers false',
    meaning: 'the signature is not one of this data by this key',
  },
  CKR_SIGNATURE_LEN_RANGE: {
    rv: 0x00c1,
    category: 'caller',
    response: '`verify` answers false',
    meaning: 'the signature has a length that this key and mechanism never produce',
  },
  CKR_TEMPLATE_INCOMPLETE: {
    rv: 0x00d0,
    category: 'caller',
    meaning: 'the template lacks an attribute that the object must have',
    action: 'add it; for keys mostly CKA_CLASS, CKA_KEY_TYPE, and the size or the value',
  },
  CKR_TEMPLATE_INCONSISTENT: {
    rv: 0x00d1,
    category: 'caller',
    meaning: 'attributes of the template contradict each other, the mechanism or the token’s policy',
  },
  CKR_TOKEN_NOT_PRESENT: { rv: 0x00e0, category: 'token', shows: 'token gone', meaning: 'no token is in the slot' },
  CKR_TOKEN_NOT_RECOGNIZED: {
    rv: 0x00e1,
    category: 'token',
    meaning: 'the module does not recognise the token in the slot',
  },
  CKR_TOKEN_WRITE_PROTECTED: { rv: 0x00e2, category: 'caller', meaning: 'the token is write-protected' },
  CKR_UNWRAPPING_KEY_HANDLE_INVALID: {
    rv: 0x00f0,
    category: 'caller',
    meaning: 'the handle of the unwrapping key names no key, or none any more',
  },
  CKR_UNWRAPPING_KEY_SIZE_RANGE: {
    rv: 0x00f1,
    category: 'caller',
    meaning: 'the token does not take an unwrapping key of this size for the mechanism',
  },
  CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT: {
    rv: 0x00f2,
    category: 'caller',
    meaning: 'the unwrapping key is of another type than the mechanism works with',
  },
  CKR_USER_ALREADY_LOGGED_IN: {
    rv: 0x0100,
    category: 'login',
    response: 'of a login: it counts as done',
    meaning: 'the user is logged in already, by another part of this process',
  },
  CKR_USER_NOT_LOGGED_IN: {
    rv: 0x0101,
    category: 'login',
    meaning: 'nobody is logged in, or the token ended the login',
  },
  CKR_USER_PIN_NOT_INITIALIZED: {
    rv: 0x0102,
    category: 'credentials',
    meaning: 'the token has no user PIN yet',
    action:
      'have the security officer set it (`softhsm2-util --init-token`, or the vendor’s tool), and give it with setCredentials',
  },
  CKR_USER_TYPE_INVALID: { rv: 0x0103, category: 'caller', meaning: 'the token knows no such type of user' },
  CKR_USER_ANOTHER_ALREADY_LOGGED_IN: {
    rv: 0x0104,
    category: 'caller',
    meaning: 'another user, mostly the security officer, is logged in in this process',
    action: 'log that user out: one process has one login to a token',
  },
  CKR_USER_TOO_MANY_TYPES: {
    rv: 0x0105,
    category: 'caller',
    meaning: 'the token has no room for a further user logged in beside those there are',
  },
  CKR_WRAPPED_KEY_INVALID: {
    rv: 0x0110,
    category: 'caller',
    meaning: 'the wrapped key does not unwrap: it was altered, or key or mechanism differ from those of wrapping',
  },
  CKR_WRAPPED_KEY_LEN_RANGE: {
    rv: 0x0112,
    category: 'caller',
    meaning: 'the wrapped key has a length that this mechanism never produces',
  },
  CKR_WRAPPING_KEY_HANDLE_INVALID: {
    rv: 0x0113,
    category: 'caller',
    meaning: 'the handle of the wrapping key names no key, or none any more',
  },
  CKR_WRAPPING_KEY_SIZE_RANGE: {
    rv: 0x0114,
    category: 'caller',
    meaning: 'the token does not take a wrapping key of this size for the mechanism',
  },
  CKR_WRAPPING_KEY_TYPE_INCONSISTENT: {
    rv: 0x0115,
    category: 'caller',
    meaning: 'the wrapping key is of another type than the mechanism works with',
  },
  CKR_RANDOM_SEED_NOT_SUPPORTED: {
    rv: 0x0120,
    category: 'caller',
    meaning: 'the token’s random generator takes no seed from outside',
  },
  CKR_RANDOM_NO_RNG: { rv: 0x0121, category: 'caller', meaning: 'the token has no random generator' },
  CKR_DOMAIN_PARAMS_INVALID: {
    rv: 0x0130,
    category: 'caller',
    meaning: 'the token does not take these domain parameters',
    action: 'check CKA_EC_PARAMS: the curve’s object identifier in DER',
  },
  CKR_CURVE_NOT_SUPPORTED: { rv: 0x0140, category: 'caller', meaning: 'the token does not offer this curve' },
  CKR_BUFFER_TOO_SMALL: {
    rv: 0x0150,
    category: 'session',
    response: 'the engine asks again with a larger buffer; a caller does not see it',
    meaning: 'the output did not fit, and the operation is still active',
  },
  CKR_SAVED_STATE_INVALID: { rv: 0x0160, category: 'caller', meaning: 'the saved state cannot be restored' },
  CKR_INFORMATION_SENSITIVE: {
    rv: 0x0170,
    category: 'caller',
    meaning: 'the information asked for never leaves the token',
  },
  CKR_STATE_UNSAVEABLE: { rv: 0x0180, category: 'caller', meaning: 'the session’s state cannot be saved' },
  CKR_CRYPTOKI_NOT_INITIALIZED: {
    rv: 0x0190,
    category: 'module',
    shows: 'module not initialised',
    meaning: 'the module is not initialised, or was finalised by another part of this process',
    action: 'it is initialised again; find what calls C_Finalize in this process where it comes again',
  },
  CKR_CRYPTOKI_ALREADY_INITIALIZED: {
    rv: 0x0191,
    category: 'module',
    meaning: 'the module was initialised already, by another part of this process',
  },
  CKR_MUTEX_BAD: { rv: 0x01a0, category: 'module', meaning: 'the module met a broken lock of its own' },
  CKR_MUTEX_NOT_LOCKED: { rv: 0x01a1, category: 'module', meaning: 'the module unlocked a lock that was not locked' },
  CKR_NEW_PIN_MODE: {
    rv: 0x01b0,
    category: 'credentials',
    meaning: 'the token wants a new PIN before it goes on',
    action: 'set a new one with the vendor’s tool, and give it with setCredentials',
  },
  CKR_NEXT_OTP: {
    rv: 0x01b1,
    category: 'credentials',
    meaning: 'the token wants the next one-time password before it goes on',
  },
  CKR_EXCEEDED_MAX_ITERATIONS: {
    rv: 0x01b5,
    category: 'caller',
    meaning: 'parameters could not be generated in the number of tries the algorithm allows',
    action: 'try again, with another seed where one was given',
  },
  CKR_FIPS_SELF_TEST_FAILED: {
    rv: 0x01b6,
    category: 'module',
    meaning: 'the module failed its own self-test and does nothing until it is initialised again',
  },
  CKR_LIBRARY_LOAD_FAILED: {
    rv: 0x01b7,
    category: 'module',
    meaning: 'the module could not load a library it needs',
    action: 'check the libraries it needs (`ldd`) and the vendor’s settings',
  },
  CKR_PIN_TOO_WEAK: { rv: 0x01b8, category: 'credentials', meaning: 'the PIN is too weak for the token’s policy' },
  CKR_PUBLIC_KEY_INVALID: { rv: 0x01b9, category: 'caller', meaning: 'the public key fails the token’s checks' },
  CKR_FUNCTION_REJECTED: { rv: 0x0200, category: 'caller', meaning: 'the user refused the request at the token' },
  CKR_TOKEN_RESOURCE_EXCEEDED: {
    rv: 0x0201,
    category: 'overload',
    meaning: 'a resource of the token is used up for the moment',
  },
  CKR_OPERATION_CANCEL_FAILED: {
    rv: 0x0202,
    category: 'session',
    meaning: 'an operation under way could not be cancelled',
  },
  CKR_KEY_EXHAUSTED: {
    rv: 0x0203,
    category: 'caller',
    meaning: 'the key has made as many signatures as it can',
    action: 'use a new key',
  },
} as const satisfies Record<string, ReturnValue>

/** A return value with its name, `CKR_0x…` where the standard has none. */
export interface DescribedReturnValue extends ReturnValue {
  readonly name: string
}

const byNumber = new Map<number, DescribedReturnValue>()
for (const [name, value] of Object.entries(RETURN_VALUES)) byNumber.set(value.rv, { name, ...value })

/**
 * Names and classifies a return value. One that the standard does not know, a vendor's own mostly, is `session`: what state
 * the session is in cannot be known, so it is not used again.
 */
export function describeRv(rv: number): DescribedReturnValue {
  return (
    byNumber.get(rv) ?? {
      rv,
      name: `CKR_${hex32(rv)}`,
      category: 'session',
      unnamed: true,
      meaning: rv >= 0x80000000 ? 'an error of the vendor’s own' : 'an error that this library does not know',
      action: 'see the vendor’s documentation',
    }
  )
}
