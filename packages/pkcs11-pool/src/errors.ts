/**
 * Every code an error of this library can carry. `docs/errors.md` is generated from {@link ERROR_HELP}, one section a code.
 */
export type ErrorCode = keyof typeof ERROR_HELP

/**
 * Who has to act, and so what happens next to the session and the token: a `caller` fault leaves the session in use, a
 * `session` fault discards it, `login` asks for one new login, `token` flushes every session, `module` needs the library
 * initialised again, `credentials` latches the PIN, `overload` backs off, `pool` is the pool's own state.
 */
export type ErrorCategory = 'caller' | 'session' | 'login' | 'token' | 'module' | 'credentials' | 'overload' | 'pool'

/** What follows from each category, and what to do about it: of messages, and of `docs/errors.md`. */
export const CATEGORY_HELP = {
  caller: {
    meaning: 'the call itself is wrong',
    consequence: 'the session stays in use; the call is not made again',
    action: 'correct the call',
  },
  session: {
    meaning: 'the session cannot be trusted any more',
    consequence: 'the session is closed and replaced; a call that changes nothing is made again on another',
    action: 'the session is discarded; try again on another one',
  },
  login: {
    meaning: 'the token says that nobody is logged in',
    consequence: 'one new login for all callers, then the call is made once more',
    action: 'a new login is made',
  },
  token: {
    meaning: 'the token is gone or broken',
    consequence:
      'the session is closed and replaced; a call that changes nothing is made again; so many in a row open the breaker, and the first ' +
      'good probe replaces all sessions',
    action: 'check that the token is present and reachable',
  },
  module: {
    meaning: 'the PKCS#11 library is not usable',
    consequence: 'the session is closed and replaced; so many in a row open the breaker',
    action: 'the module has to be initialised again',
  },
  credentials: {
    meaning: 'the token refuses the PIN',
    consequence: 'it is latched: nothing is sent any more until setCredentials gives another PIN',
    action: 'this PIN is not sent again; give the right one with setCredentials',
  },
  overload: {
    meaning: 'too much is asked at once',
    consequence: 'the session stays in use; a call that changes nothing is made again after a wait',
    action: 'try again later, with less load',
  },
  pool: {
    meaning: 'the state of the pool, not of the token',
    consequence: 'nothing was sent, and nothing is tried again',
    action: 'see the code',
  },
} as const satisfies Record<ErrorCategory, { meaning: string; consequence: string; action: string }>

/** What each code means and what to do about it: the source of `docs/errors.md`. */
export const ERROR_HELP = {
  INVALID_OPTION: {
    category: 'caller',
    meaning: 'an option is unknown, missing, of the wrong type or out of range',
    action: 'correct the option that the message names; it says what was got and what is expected',
  },
  INVALID_ARGUMENT: {
    category: 'caller',
    meaning: 'an argument of a call is of the wrong type, unknown or out of range; nothing was sent to the token',
    action: 'correct the argument that the message names',
  },
  MODULE_LOAD_FAILED: {
    category: 'module',
    meaning: 'the PKCS#11 library could not be loaded, or the file is no PKCS#11 library',
    action: 'check the path, that the file is readable and built for this machine, and the libraries it needs (`ldd`)',
  },
  TOKEN_NOT_FOUND: {
    category: 'token',
    meaning: 'no token of the module has the label, serial number or slot asked for; the message lists those there are',
    action: 'correct `token`, or initialise the token',
  },
  TOKEN_AMBIGUOUS: {
    category: 'caller',
    meaning: 'more than one token matches; the message lists them',
    action: 'select by serial number',
  },
  TOKEN_NOT_INITIALIZED: {
    category: 'token',
    meaning: 'the token, or its user PIN, has not been initialised',
    action: 'initialise the token and its user PIN with the vendor’s tool, or `softhsm2-util --init-token`',
  },
  PIN_UNAVAILABLE: {
    category: 'credentials',
    meaning: 'the PIN could not be read from the file or environment variable it should come from',
    action: 'check the file’s path and permissions, or set the variable',
  },
  CREDENTIALS_REJECTED: {
    category: 'credentials',
    meaning: 'the token rejected the PIN, or it is locked. It is not sent again: a token locks after a few tries',
    action: 'unlock the token where it is locked, and give the right PIN with setCredentials',
  },
  ACQUIRE_TIMEOUT: {
    category: 'pool',
    meaning: 'no session came free within `acquireTimeoutMs`; the message gives the pool’s state',
    action: 'raise `maxSize`, or look for sessions that are not released (`leakThresholdMs`)',
  },
  CREATE_TIMEOUT: {
    category: 'pool',
    meaning: 'opening a session took longer than `createTimeoutMs`',
    action: 'check the way to the HSM and its load',
  },
  CREATE_FAILED: {
    category: 'pool',
    meaning: 'a session could not be opened; `cause` says why',
    action: 'check HSM connectivity and credentials',
  },
  QUEUE_FULL: {
    category: 'overload',
    meaning: '`maxWaiters` callers wait for a session already',
    action: 'shed load, raise `maxSize`, or allow more waiters',
  },
  POOL_CLOSED: {
    category: 'pool',
    meaning: 'the pool or client was closed',
    action: 'make a new one; a closed client cannot be used again',
  },
  TOO_MANY_OBJECTS: {
    category: 'caller',
    meaning:
      'a search found more objects than one answer holds; none of them are told, because a part would look like all',
    action: 'narrow the search with a label, id or class',
  },
  SESSION_RELEASED: {
    category: 'caller',
    meaning: 'a session was used or released after it had been released',
    action: 'keep each use of a session between its acquire and its one release',
  },
  SESSION_LOST: {
    category: 'session',
    meaning:
      'the session ended when the token lost its sessions, and the session objects that were made in it ended with it; nothing was sent',
    action: 'acquire another session, and make its objects again',
  },
  OPERATION_TIMEOUT: {
    category: 'token',
    meaning: 'a call to the token did not return by its deadline; whether it took effect is unknown',
    action: 'check the HSM. For generate, import, update and destroy look at the token before trying again',
  },
  TOKEN_STALLED: {
    category: 'overload',
    meaning:
      'as many calls as are allowed are hanging inside the module, and no further thread is given to it; or it has to be initialised again, and cannot be; or its C_Initialize or C_Finalize has not returned',
    action: 'check the HSM; restart the process if the calls never return',
  },
  BREAKER_OPEN: {
    category: 'token',
    meaning:
      'the token failed before, and nothing is sent until a probe of it succeeds; `retryAt` says when it is made, `cause` what failed',
    action: 'answer “try again later” at once, until `retryAt`; check the HSM, its log and the connection to it',
  },
  KEY_NOT_FOUND: {
    category: 'caller',
    meaning: 'no key on the token matches the reference',
    action: 'check label, id and class; a private key is only visible after login',
  },
  KEY_AMBIGUOUS: {
    category: 'caller',
    meaning: 'several keys match where one was asked for; the message names them',
    action: 'add `id` or `class` to the reference, or remove the duplicates',
  },
  MECHANISM_NOT_SUPPORTED: {
    category: 'caller',
    meaning: 'the token does not offer the mechanism (CKR_MECHANISM_INVALID)',
    action: 'use a mechanism of the list that `inspectModule` gives for the token',
  },
  GROUP_UNAVAILABLE: {
    category: 'token',
    meaning: 'fewer members of a group than are needed could be connected; the message says of each why',
    action: 'correct the options of the members that it names, or check their tokens',
  },
  GROUP_INCOMPLETE: {
    category: 'token',
    meaning: 'a write goes to all members of a group, and not all of them can be reached now; nothing was sent to any',
    action: 'try again when all members are back; `health().members` says how they are',
  },
  GROUP_DIVERGED: {
    category: 'token',
    meaning:
      'a write was done on some members of a group and not, or perhaps not, on others; `outcomes` says which, the message how to repair it',
    action:
      'look at the members that the message names (`group.member(name).keys`), and make them alike by hand; `checkConsistency` says when they are',
  },
  GROUP_CANNOT_GENERATE: {
    category: 'caller',
    meaning: 'a key generated on one member of a group cannot be made the same on the others; nothing was sent',
    action:
      'import or unwrap the key, which goes to all members, or generate it on one and clone it with the vendor’s tool',
  },
  CRYPTOKI: {
    category: 'session',
    meaning: 'a PKCS#11 function failed; `fn`, `rv` and `rvName` say which and how, `category` what follows',
    action: 'see the return value in the PKCS#11 standard and the vendor’s documentation',
  },
  INTERNAL: {
    category: 'module',
    meaning: 'the library broke a promise of its own',
    action: 'report it with the message and the stack',
  },
} as const satisfies Record<string, { category: ErrorCategory; meaning: string; action: string }>

/** What an error may carry beside its message. */
export interface ErrorDetails {
  cause?: unknown
  category?: ErrorCategory
}

/** The base class of every error this library throws or rejects with, aborts excepted (those carry the signal's reason). */
export class Pkcs11PoolError extends Error {
  /** What went wrong, for programs: switch on this, never on the message. */
  readonly code: ErrorCode
  /** Who has to act; see {@link ErrorCategory}. */
  readonly category: ErrorCategory

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined)
    this.name = new.target.name
    this.code = code
    this.category = details.category ?? ERROR_HELP[code].category
  }
}

/** Nothing was sent: the token has failed, and is being left alone until its next probe. */
export class BreakerOpenError extends Pkcs11PoolError {
  /** When the token is tried next, by a probe of the library's own; a call before that is refused again. */
  readonly retryAt: Date

  constructor(message: string, details: ErrorDetails & { retryAt: Date }) {
    super('BREAKER_OPEN', message, details)
    this.retryAt = details.retryAt
  }
}

/** What became of a write on one member of a group. */
export interface MemberOutcome {
  member: string
  /** `not done`: it certainly has had no effect; `unknown`: it may have, or may yet have one */
  outcome: 'done' | 'not done' | 'unknown'
  /** why it is not `done`; undefined where it was not sent, or is under way */
  error: unknown
}

/** Members of a group do not have the same keys any more: a write reached some, and not, or perhaps not, the others. */
export class GroupDivergedError extends Pkcs11PoolError {
  /** One a member, in the order of the group's options. */
  readonly outcomes: readonly MemberOutcome[]

  constructor(message: string, details: ErrorDetails & { outcomes: readonly MemberOutcome[] }) {
    super('GROUP_DIVERGED', message, details)
    this.outcomes = details.outcomes
  }
}

/** A PKCS#11 function returned something other than CKR_OK. */
export class CryptokiError extends Pkcs11PoolError {
  /** The return value, such as `0x000000a0`. */
  readonly rv: number
  /** Its name in the standard, such as `CKR_PIN_INCORRECT`, or `CKR_0x8000…` for a vendor's own. */
  readonly rvName: string
  /** The function that returned it, such as `C_Login`. */
  readonly fn: string

  constructor(code: ErrorCode, message: string, details: ErrorDetails & { rv: number; rvName: string; fn: string }) {
    super(code, message, details)
    this.rv = details.rv
    this.rvName = details.rvName
    this.fn = details.fn
  }
}
