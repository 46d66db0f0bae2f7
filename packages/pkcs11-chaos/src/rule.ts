import type { FunctionName } from './function-names.js'
import type { ReturnValue } from './return-values.js'

/**
 * Which calls a rule is for. All of it has to apply. Calls are counted in each process from the moment it knows the rule, and only
 * those of the rule's functions, at its slot, between `from` and `until`.
 */
export interface RuleCalls {
  /**
   * The functions; `'*'` is every one but those that hand out the function lists.
   *
   * @defaultValue `C_OpenSession` for `sessionLimit`, `C_GetTokenInfo` for `tokenInfo`; all other effects but `removeToken` need it
   */
  on?: FunctionName | readonly FunctionName[] | '*' | undefined
  /** Only the n-th of these calls, 1 being the next. @defaultValue each */
  nth?: number | undefined
  /** Only every k-th of these calls. @defaultValue 1 */
  every?: number | undefined
  /** Each of these calls with this probability, from 0 to 1. @defaultValue 1 */
  probability?: number | undefined
  /** What `probability` and a random delay are drawn with; the same seed draws the same. @defaultValue 1 */
  seed?: number | undefined
  /** No more than so many of these calls. @defaultValue Infinity */
  times?: number | undefined
  /** Only from a call of this function on, that call included. @defaultValue from now on */
  from?: FunctionName | undefined
  /** Only until a call of this function, that call not included; where `from` is given, its next call starts anew. @defaultValue for ever */
  until?: FunctionName | undefined
  /** Only calls for the slot with this id, or in a session of it. @defaultValue any */
  slot?: number | undefined
  /**
   * Whether the rule acts before the real module is called or when it has answered. A `fail` after it is the lost answer: the call
   * took effect, and the program is told that it did not. @defaultValue 'before'
   */
  phase?: 'before' | 'after' | undefined
}

/** What can happen to the token as a whole. */
export type Action =
  /** every open session is closed at the token, and its calls are answered with CKR_SESSION_HANDLE_INVALID */
  | 'dropSessions'
  /** the user is logged out */
  | 'logOut'
  /** every call is answered with CKR_CRYPTOKI_NOT_INITIALIZED until C_Initialize is called again */
  | 'loseInitialization'
  /** the token is taken out, see `removeToken` of {@link RuleEffects} */
  | 'removeToken'
  /** the token is put back */
  | 'insertToken'

/** Flags of CK_TOKEN_INFO that matter to a login, by name. */
export const TOKEN_FLAGS = {
  CKF_LOGIN_REQUIRED: 0x4,
  CKF_USER_PIN_INITIALIZED: 0x8,
  CKF_PROTECTED_AUTHENTICATION_PATH: 0x100,
  CKF_TOKEN_INITIALIZED: 0x400,
  CKF_USER_PIN_COUNT_LOW: 0x10000,
  CKF_USER_PIN_FINAL_TRY: 0x20000,
  CKF_USER_PIN_LOCKED: 0x40000,
  CKF_USER_PIN_TO_BE_CHANGED: 0x80000,
  CKF_SO_PIN_COUNT_LOW: 0x100000,
  CKF_SO_PIN_FINAL_TRY: 0x200000,
  CKF_SO_PIN_LOCKED: 0x400000,
  CKF_SO_PIN_TO_BE_CHANGED: 0x800000,
  CKF_ERROR_STATE: 0x1000000,
} as const

export type TokenFlag = keyof typeof TOKEN_FLAGS

/** What a rule may do; each rule does one of them. */
export interface RuleEffects {
  /**
   * The call is answered with this value, and the real module is not asked. With `phase: 'after'` it is asked first, and the answer
   * replaces its CKR_OK. An operation that the standard takes for ended by such a failure is ended in the real module too.
   */
  fail: ReturnValue
  /** The call is held for so many milliseconds, or for a random time between two. */
  delayMs: number | readonly [min: number, max: number]
  /** The call is held until it is released, or the rule is removed. */
  hang: true
  /** The process ends, by `abort` with SIGABRT or by `kill` with SIGKILL. */
  crash: 'abort' | 'kill'
  /** The call causes this, and goes on. With `slot` only there. */
  act: Action
  /** Calls beyond this rate fail; a pause saves up `burst` of them. `burst` defaults to one second's, `rv` to CKR_FUNCTION_FAILED. */
  throttle: { perSecond: number; burst?: number | undefined; rv?: ReturnValue | undefined }
  /** A session beyond so many open ones of the process is refused with CKR_SESSION_COUNT. */
  sessionLimit: number
  /** What C_GetTokenInfo says is changed: flags, and the token's own maximum of sessions. */
  tokenInfo: {
    set?: readonly TokenFlag[] | undefined
    clear?: readonly TokenFlag[] | undefined
    maxSessions?: number | undefined
  }
  /**
   * The token, or that of `slot`, is not there while the rule holds. Its sessions are closed; calls in them are answered with
   * CKR_DEVICE_REMOVED, calls for the slot with CKR_TOKEN_NOT_PRESENT, and the slot says that it is empty.
   */
  removeToken: true
}

type One<T> = {
  [Key in keyof T]: Pick<T, Key> & { [Other in Exclude<keyof T, Key>]?: undefined }
}[keyof T]

/**
 * One rule: which calls, and what happens to them.
 *
 * @example
 * ```ts
 * const rule: Rule = { on: ['C_Sign', 'C_SignFinal'], fail: 'CKR_DEVICE_ERROR', every: 3, times: 5 }
 * ```
 */
export type Rule = RuleCalls & One<RuleEffects>
