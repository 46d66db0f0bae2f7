import { CryptokiError, Pkcs11PoolError } from '../errors.js'
import { cryptokiError } from '../pkcs11/cryptoki-error.js'
import type { CallWatch } from '../pkcs11/engine.js'
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

  readonly #answeredLate: () => void

  /** Without a PIN there is nothing to log in with. `answeredLate` is told when a call that was given up has returned. */
  constructor(
    readonly pin: NativePin | undefined,
    answeredLate: () => void,
  ) {
    this.#answeredLate = answeredLate
  }

  /** Why the PIN is not sent any more; undefined while it may be. */
  get rejection(): Pkcs11PoolError | undefined {
    return this.#rejection
  }

  /** Whether the token has accepted it before. */
  get accepted(): boolean {
    return this.#accepted
  }

  /** Whether a call with it has not returned. */
  get unanswered(): boolean {
    return this.#unanswered > 0
  }

  /** Whether the token has said that it is wrong. */
  get wrong(): boolean {
    return this.#rejection instanceof CryptokiError && WRONG_PIN.has(this.#rejection.rv)
  }

  /** Whether `other` is the same PIN. */
  is(other: NativePin): boolean {
    return this.pin?.equals(other) === true
  }

  /** Latches. */
  reject(message: string): Pkcs11PoolError {
    this.#rejection = new Pkcs11PoolError('CREDENTIALS_REJECTED', message)
    return this.#rejection
  }

  /** What it was rejected for may be over: an operator has acted. */
  forgive(): void {
    this.#rejection = undefined
  }

  /**
   * Learns from one call with the PIN how it ends, whoever still waits for it. `over` is called once, when the answer is known, or that
   * there is none yet.
   */
  watch(over: () => void = () => undefined): CallWatch {
    let hangs = false
    return {
      notSent: over,
      returned: (rv, fn) => {
        this.#answered(rv, fn)
        if (!hangs) {
          over()
          return
        }
        this.#unanswered -= 1
        this.#answeredLate()
      },
      hangs: () => {
        hangs = true
        this.#unanswered += 1
        over()
      },
    }
  }

  /** Latches where the answer is a login's, and about the PIN. That somebody is logged in already says nothing of it. */
  #answered(rv: number, fn: string): void {
    if (rv === RETURN_VALUES.CKR_OK.rv) this.#accepted = true
    else if (fn === 'C_Login' && describeRv(rv).category === 'credentials') this.#rejection = cryptokiError(rv, fn)
  }
}

/** Answers that are about the PIN's bytes: after all others (locked, expired), the same PIN may be right once an operator has acted. */
const WRONG_PIN: ReadonlySet<number> = new Set([
  RETURN_VALUES.CKR_PIN_INCORRECT.rv,
  RETURN_VALUES.CKR_PIN_INVALID.rv,
  RETURN_VALUES.CKR_PIN_LEN_RANGE.rv,
])
