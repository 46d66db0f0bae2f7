import { CryptokiError, Pkcs11PoolError } from '../errors.js'
import type { NativePin } from '../pkcs11/protocol.js'
import { describeRv, RETURN_VALUES } from '../pkcs11/return-values.js'

/**
 * One PIN, and what the token has said of it. Once it is rejected it is never sent again: tokens lock after a few tries. A call that was
 * given up counts as under way until it returns, because its answer may still be a rejection.
 *
 * Source: PKCS#11 2.40 section 5.6 (C_Login).
 */
export class Credentials {
  #rejection: Pkcs11PoolError | undefined
  #accepted = false
  #unanswered = 0

  /** Without a PIN there is nothing to log in with. */
  constructor(readonly pin: NativePin | undefined) {}

  /** Why the PIN is not sent any more; undefined while it may be. */
  get rejection(): Pkcs11PoolError | undefined {
    return this.#rejection
  }

  /** Whether the token has accepted it before. */
  get accepted(): boolean {
    return this.#accepted
  }

  /** @throws CREDENTIALS_REJECTED; OPERATION_TIMEOUT while a call with it has not returned */
  checkSendable(): void {
    if (this.#rejection !== undefined) throw this.#rejection
    if (this.#unanswered > 0) {
      throw new Pkcs11PoolError(
        'OPERATION_TIMEOUT',
        'an earlier C_Login has not returned from the module; no second one is sent beside it, so that a wrong PIN fails once only',
      )
    }
  }

  /** Latches. */
  reject(message: string): Pkcs11PoolError {
    this.#rejection = new Pkcs11PoolError('CREDENTIALS_REJECTED', message)
    return this.#rejection
  }

  /** The token has answered. */
  succeeded(): void {
    this.#accepted = true
  }

  /** A call with the PIN failed; `hangs`: it has not returned. Latches where the error is about the PIN. */
  failed(error: unknown, hangs: boolean): void {
    if (error instanceof Pkcs11PoolError && error.category === 'credentials') this.#rejection = error
    if (hangs) this.#unanswered += 1
  }

  /** A call that was given up has returned after all. */
  answeredLate(rv: number): void {
    this.#unanswered -= 1
    const { name, category, meaning } = describeRv(rv)
    if (category === 'credentials')
      this.reject(`C_Login returned late with ${name}: ${meaning}; the PIN is not sent again`)
    if (rv === RETURN_VALUES.CKR_OK.rv || rv === RETURN_VALUES.CKR_USER_ALREADY_LOGGED_IN.rv) this.#accepted = true
  }

  /** Whether the token has said that this PIN is wrong, and `other` is the same. */
  rejectedAlready(other: NativePin): boolean {
    if (!(this.#rejection instanceof CryptokiError) || this.pin === undefined) return false
    return WRONG_PIN.has(this.#rejection.rv) && this.pin.equals(other)
  }
}

/** Answers that are about the PIN's bytes: after all others (locked, expired), the same PIN may be right once an operator has acted. */
const WRONG_PIN: ReadonlySet<number> = new Set([
  RETURN_VALUES.CKR_PIN_INCORRECT.rv,
  RETURN_VALUES.CKR_PIN_INVALID.rv,
  RETURN_VALUES.CKR_PIN_LEN_RANGE.rv,
])
