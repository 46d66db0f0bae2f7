import { Pkcs11PoolError } from '../errors.js'
import type { Engine, EngineSession } from '../pkcs11/engine.js'
import { hasFlag, TOKEN_FLAGS, USER_TYPES } from '../pkcs11/flags.js'
import { type NativePin, type NativeTokenInfo, Operation } from '../pkcs11/protocol.js'
import { describeRv, RETURN_VALUES } from '../pkcs11/return-values.js'

/** What a login needs of its token. */
export interface LoginTarget {
  readonly engine: Engine
  readonly slot: number | bigint
  readonly timeoutMs: number
  openSession(): Promise<EngineSession>
  closeSession(session: EngineSession, timeoutMs?: number): Promise<void>
}

/**
 * The login of this process at one token, with one PIN.
 *
 * A login belongs to the token, not to a session: C_Login moves all sessions of the process at once, and it ends with the last of
 * them. So one session, the anchor, is opened for it, leased to nobody and left out of expiry.
 *
 * The PIN is guarded: logins run one after the other, and one that the token has rejected is never sent again. A call that was given
 * up counts as under way until it returns, because its answer may still be a rejection.
 *
 * Source: PKCS#11 2.40 sections 5.6 (C_Login) and 3.2 (CK_TOKEN_INFO flags).
 */
export class Login {
  readonly #target: LoginTarget
  readonly #pin: NativePin | undefined
  readonly #onLogin: (generation: number) => void
  #anchor: EngineSession | undefined
  #loggedIn = false
  #underWay: Promise<void> | undefined
  #turn: Promise<unknown> = Promise.resolve()
  #unanswered = 0
  #accepted = false
  #rejection: Pkcs11PoolError | undefined
  #generation = 0

  constructor(target: LoginTarget, pin: NativePin | undefined, onLogin: (generation: number) => void) {
    this.#target = target
    this.#pin = pin
    this.#onLogin = onLogin
  }

  /** Why the PIN is not sent any more; undefined while it may be. */
  get rejection(): Pkcs11PoolError | undefined {
    return this.#rejection
  }

  /** Counts the logins: handles of private objects found before the last one are dead. */
  get generation(): number {
    return this.#generation
  }

  /** Resolves once the anchor is open and logged in; callers at the same time share one attempt. @throws CREDENTIALS_REJECTED and others */
  ensure(): Promise<void> {
    if (this.#rejection !== undefined) return Promise.reject(this.#rejection)
    if (this.#loggedIn && this.#anchor?.lost === false) return Promise.resolve()
    this.#underWay ??= this.#hold().finally(() => {
      this.#underWay = undefined
    })
    return this.#underWay
  }

  /** After CKR_USER_NOT_LOGGED_IN: logs in again, unless somebody has since the `generation` in which it was answered. */
  renew(generation: number): Promise<void> {
    if (generation === this.#generation) this.#loggedIn = false
    return this.ensure()
  }

  /** Logs in on a session of the caller's own, without an anchor. */
  on(session: EngineSession): Promise<void> {
    return this.#inTurn(async () => {
      // Where somebody was logged in already, nothing has changed.
      if (await this.#send(session)) this.#began()
    })
  }

  /** Closes the anchor. The session of a login that is under way is closed with the engine. */
  async close(timeoutMs: number): Promise<void> {
    const anchor = this.#anchor
    this.#anchor = undefined
    this.#loggedIn = false
    if (anchor !== undefined) await this.#target.closeSession(anchor, timeoutMs)
  }

  async #hold(): Promise<void> {
    const stale = this.#anchor
    this.#anchor = undefined
    const anchor = await this.#target.openSession()
    // The old one is closed after the new one is open, so that the login does not end in between.
    if (stale !== undefined) void this.#target.closeSession(stale).catch(() => undefined)
    try {
      await this.#inTurn(async () => {
        await this.#send(anchor)
        this.#began()
      })
    } catch (error) {
      if (!anchor.lost) void this.#target.closeSession(anchor).catch(() => undefined)
      throw error
    }
    this.#anchor = anchor
    this.#loggedIn = true
  }

  /** One login after the other: two at once with a wrong PIN would be two failed tries. */
  #inTurn(send: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(send)
    this.#turn = turn.catch(() => undefined)
    return turn
  }

  /** C_Login, where it may be sent. @returns whether it was this call that logged in */
  async #send(session: EngineSession): Promise<boolean> {
    if (this.#pin === undefined) return false
    if (this.#rejection !== undefined) throw this.#rejection
    if (this.#unanswered > 0) throw unanswered()
    const { engine, slot, timeoutMs } = this.#target
    const token = (await engine.run(Operation.TOKEN_INFO, undefined, { timeoutMs }, slot)) as NativeTokenInfo
    this.#check(token)
    // A token with a PIN pad of its own asks there; it takes no PIN from here.
    const pin = hasFlag(token.flags, TOKEN_FLAGS.CKF_PROTECTED_AUTHENTICATION_PATH) ? null : this.#pin
    try {
      await engine.run(
        Operation.LOGIN,
        session,
        { timeoutMs, onLate: (rv) => this.#answeredLate(rv) },
        USER_TYPES.CKU_USER,
        pin,
      )
      this.#accepted = true
      return true
    } catch (error) {
      this.#judge(error, session)
      return false
    }
  }

  /** Latches where the token says that a wrong PIN would be one too many. These flags may always read as unset. */
  #check(token: NativeTokenInfo): void {
    if (!hasFlag(token.flags, TOKEN_FLAGS.CKF_USER_PIN_INITIALIZED)) {
      throw new Pkcs11PoolError(
        'TOKEN_NOT_INITIALIZED',
        `the user PIN of token "${token.label}" is not set; initialise it before using the token`,
      )
    }
    if (hasFlag(token.flags, TOKEN_FLAGS.CKF_USER_PIN_LOCKED)) {
      throw this.#latch(
        `the user PIN of token "${token.label}" is locked; unlock it and make a new client. the PIN was not sent`,
      )
    }
    if (hasFlag(token.flags, TOKEN_FLAGS.CKF_USER_PIN_FINAL_TRY) && !this.#accepted) {
      throw this.#latch(
        `token "${token.label}" has one try left before its PIN locks, and this PIN has not been accepted yet; log in once by ` +
          'hand with the right PIN, and make a new client. the PIN was not sent',
      )
    }
  }

  /** Throws unless the error says that somebody is logged in already. */
  #judge(error: unknown, session: EngineSession): void {
    if (!(error instanceof Pkcs11PoolError)) throw error
    if ('rv' in error && error.rv === RETURN_VALUES.CKR_USER_ALREADY_LOGGED_IN.rv) return
    if (error.category === 'credentials') this.#rejection = error
    // The call hangs: it may still be answered with a rejection, and a second try beside it would be a second failed login.
    if (session.lost) this.#unanswered += 1
    throw error
  }

  /** A new generation: handles of private objects found before it are dead. */
  #began(): void {
    if (this.#pin === undefined) return
    this.#generation += 1
    this.#onLogin(this.#generation)
  }

  #answeredLate(rv: number): void {
    this.#unanswered -= 1
    const { name, category, meaning } = describeRv(rv)
    if (category === 'credentials')
      this.#latch(`C_Login returned late with ${name}: ${meaning}; the PIN is not sent again`)
    if (rv === RETURN_VALUES.CKR_OK.rv || rv === RETURN_VALUES.CKR_USER_ALREADY_LOGGED_IN.rv) this.#accepted = true
  }

  #latch(message: string): Pkcs11PoolError {
    this.#rejection = new Pkcs11PoolError('CREDENTIALS_REJECTED', message)
    return this.#rejection
  }
}

function unanswered(): Pkcs11PoolError {
  return new Pkcs11PoolError(
    'OPERATION_TIMEOUT',
    'an earlier C_Login has not returned from the module; no second one is sent beside it, so that a wrong PIN fails once only',
  )
}
