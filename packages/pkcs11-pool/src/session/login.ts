import { CryptokiError, type Pkcs11PoolError } from '../errors.js'
import { cryptokiError } from '../pkcs11/cryptoki-error.js'
import type { CallOptions, CallWatch, Engine, EngineSession } from '../pkcs11/engine.js'
import { hasFlag, TOKEN_FLAGS, USER_TYPES } from '../pkcs11/flags.js'
import { type NativePin, type NativeTokenInfo, Operation } from '../pkcs11/protocol.js'
import { RETURN_VALUES } from '../pkcs11/return-values.js'
import type { ObjectHandle } from './arguments.js'
import { type CallContext, nextCall } from './call-context.js'
import { Contact } from './contact.js'
import type { Credentials } from './credentials.js'
import { bounded, Deadline, nothingSent } from './deadline.js'
import type { KnownToken } from './known-tokens.js'
import { isGeneralError, patiently } from './patience.js'
import { checkPinFlags, type PinFlag, pinFlags } from './pin-flags.js'
import { Pins } from './pins.js'
import { isPublic, showsSessionEnded } from './session-state.js'

/** What a login needs of its token. */
export interface LoginTarget {
  readonly engine: Engine
  readonly slot: number | bigint
  readonly timeoutMs: number
  readonly known: KnownToken
  openSession(): Promise<EngineSession>
  closeSession(session: EngineSession, timeoutMs?: number): Promise<void>
}

/**
 * The login of this process at one token.
 *
 * A login belongs to the token, not to a session: C_Login moves all sessions of the process at once, and it ends with the last of
 * them. So one session, the anchor, is opened for it, leased to nobody and left out of expiry.
 *
 * The PIN is guarded: what sends it runs one after the other, and {@link Credentials} that the token has rejected are not sent again. Nor is
 * it sent to a token that does not answer: modules are known to say CKR_PIN_INCORRECT when they cannot reach theirs.
 *
 * Source: PKCS#11 2.40 sections 5.6 (C_Login) and 3.2 (CK_TOKEN_INFO flags).
 */
export class Login {
  readonly contact: Contact
  readonly #target: LoginTarget
  readonly #pins: Pins
  readonly #onLogin: (generation: number) => void
  #anchor: EngineSession | undefined
  #wasHeld = false
  #pinFlags: readonly PinFlag[] = []
  #loggedIn = false
  #showsInSessions = false
  #underWay: Promise<void> | undefined
  #turn: Promise<void> = Promise.resolve()
  #generation = 0
  /** logins that were not there before, and those that are not answered yet */
  #succeeded = 0
  #sending = 0
  /** keys with CKA_ALWAYS_AUTHENTICATE that were found */
  readonly #alwaysAuthenticate = new Set<ObjectHandle>()

  constructor(target: LoginTarget, pin: NativePin | undefined, onLogin: (generation: number) => void) {
    this.#target = target
    this.contact = new Contact(target.engine)
    this.#pins = new Pins(pin)
    this.#onLogin = onLogin
  }

  /** Why the PIN is not sent any more; undefined while it may be. */
  get rejection(): Pkcs11PoolError | undefined {
    return this.#pins.current.rejection
  }

  /** What the token said of its user PIN before it was last to be sent. */
  get pinFlags(): readonly PinFlag[] {
    return this.#pinFlags
  }

  /** The session that holds the login, once there is one; it may have ended since. */
  get anchor(): EngineSession | undefined {
    return this.#anchor
  }

  /** Resolves when the login that is under way is over, however it ended; undefined while none is. */
  get underWay(): Promise<void> | undefined {
    return this.#underWay?.catch(() => undefined)
  }

  /** Whether sessions of this token tell if somebody is logged in: that of a login that has just succeeded must have said so. */
  get showsInSessions(): boolean {
    return this.#showsInSessions
  }

  /** Counts the logins: handles of private objects found before the last one are dead. */
  get generation(): number {
    return this.#generation
  }

  /** Whether the anchor is open. */
  get held(): boolean {
    return this.#anchor !== undefined
  }

  /** Whether it has ever been. */
  get wasHeld(): boolean {
    return this.#wasHeld
  }

  /** Resolves once the anchor is open and logged in; callers at the same time share one attempt. @throws CREDENTIALS_REJECTED and others */
  ensure(): Promise<void> {
    const { rejection } = this.#pins.current
    if (rejection !== undefined) return Promise.reject(rejection)
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

  /**
   * Takes another PIN, which is its own from now on, in the place of the one there is, once nothing that sends it is under way. Who is logged
   * in stays so.
   *
   * @throws CREDENTIALS_REJECTED where the token has called it wrong before; OPERATION_TIMEOUT, POOL_CLOSED
   */
  replacePin(pin: NativePin): Promise<void> {
    return this.#inTurn(async () => {
      const hadNone = this.#pins.current.pin === undefined
      this.#pins.replace(pin)
      if (hadNone) this.#loggedIn = false
    })
  }

  /** Wipes every PIN it was given: none is taken or sent any more. */
  forgetPins(): void {
    this.#pins.wipe()
  }

  /**
   * Runs a search, whose answer is worth nothing if nobody was logged in for a part of it: private objects are not seen then, and would
   * count as missing. No login may come between the search and the look at its session either, which would show the new one's state: one that
   * is not answered yet may have come, so its answer is waited for.
   *
   * @throws CRYPTOKI with CKR_USER_NOT_LOGGED_IN, and what the search throws
   */
  async duringLogin<R>(context: CallContext, search: (context: CallContext) => Promise<R>): Promise<R> {
    const { engine, session, signal, timeoutMs, deadline = new Deadline(timeoutMs) } = context
    const answered = () => bounded(this.#turn, signal, deadline, nothingSent('waiting for a login'))
    if (this.#sending > 0) await answered()
    const before = this.#succeeded
    const found = await search(nextCall(context))
    const isLost = this.#showsInSessions && (await isPublic(engine, session, nextCall(context).timeoutMs))
    if (this.#sending > 0) await answered()
    if (isLost || before !== this.#succeeded)
      throw cryptokiError(RETURN_VALUES.CKR_USER_NOT_LOGGED_IN.rv, 'C_FindObjects')
    return found
  }

  /** Remembers whether a key wants the PIN for each use. */
  noteKey(handle: ObjectHandle, alwaysAuthenticate: boolean): void {
    if (alwaysAuthenticate) this.#alwaysAuthenticate.add(handle)
    // A handle may have been another key's before.
    else if (this.#alwaysAuthenticate.size > 0) this.#alwaysAuthenticate.delete(handle)
  }

  wantsPin(handle: ObjectHandle): boolean {
    return this.#alwaysAuthenticate.size > 0 && this.#alwaysAuthenticate.has(handle)
  }

  /**
   * Runs a call that sends the PIN for this one use of a key (CKU_CONTEXT_SPECIFIC), after all others that send it: several at once with
   * a PIN that was changed at the token would be as many failed logins.
   *
   * Source: PKCS#11 2.40 section 4.9 (CKA_ALWAYS_AUTHENTICATE) and 5.6 (C_Login).
   */
  async withPin<R>(
    context: CallContext,
    call: (context: CallContext, pin: NativePin | null | undefined) => Promise<R>,
  ): Promise<R> {
    const { signal, timeoutMs, deadline = new Deadline(timeoutMs) } = context
    const { turn, done } = this.#takeTurn()
    let sent = false
    try {
      await bounded(turn, signal, deadline, nothingSent('waiting for other uses of the PIN'))
      this.#pins.checkSendable()
      const credentials = this.#pins.current
      const asking = { timeoutMs: deadline.within(timeoutMs), signal }
      const pin = credentials.pin === undefined ? undefined : await this.#toSend(credentials, asking)
      sent = true
      // The turn is the call's until it has ended, or hangs, also where its caller has gone: the PIN may be rejected still.
      return await call({ ...nextCall(context), watch: credentials.watch(done) }, pin)
    } finally {
      if (!sent) done()
    }
  }

  /** Closes the anchor. The session of a login that is under way is closed with the engine. */
  async close(timeoutMs: number): Promise<void> {
    const anchor = this.#anchor
    this.#anchor = undefined
    this.#loggedIn = false
    if (anchor !== undefined) await this.#target.closeSession(anchor, timeoutMs)
  }

  async #hold(): Promise<void> {
    const before = this.#anchor
    this.#anchor = undefined
    if (before?.lost === false) {
      try {
        // Not in one more beside it, for which the token may have no room.
        await this.#holdIn(before)
        return
      } catch (error) {
        const closed = this.#target.closeSession(before).catch(() => undefined)
        if (!showsSessionEnded(error)) throw error
        await closed
      }
    }
    const anchor = await this.#target.openSession()
    try {
      await this.#holdIn(anchor)
    } catch (error) {
      void this.#target.closeSession(anchor).catch(() => undefined)
      throw error
    }
  }

  async #holdIn(anchor: EngineSession): Promise<void> {
    await this.#inTurn(async () => {
      await this.#send(anchor)
      this.#began()
    })
    this.#showsInSessions = await this.#isSeen(anchor)
    if (await this.contact.ask(anchor, 'after login', this.#target.timeoutMs)) this.contact.remember('after login')
    this.#anchor = anchor
    this.#wasHeld = true
    this.#loggedIn = true
  }

  /** One login after the other: two at once with a wrong PIN would be two failed tries. */
  async #inTurn<R>(send: () => Promise<R>): Promise<R> {
    const { turn, done } = this.#takeTurn()
    try {
      await bounded(turn, undefined, new Deadline(this.#target.timeoutMs), nothingSent('waiting for uses of the PIN'))
      return await send()
    } finally {
      done()
    }
  }

  /** `turn` resolves when all who came before are done. Whoever takes a turn says `done`, also where it has waited no longer. */
  #takeTurn(): { turn: Promise<void>; done: () => void } {
    const turn = this.#turn
    let done = (): void => undefined
    const mine = new Promise<void>((resolve) => {
      done = resolve
    })
    this.#turn = turn.then(() => mine)
    return { turn, done }
  }

  async #isSeen(anchor: EngineSession): Promise<boolean> {
    if (this.#pins.current.pin === undefined) return false
    const { engine, timeoutMs } = this.#target
    try {
      return !(await isPublic(engine, anchor, timeoutMs))
    } catch (error) {
      // With its session the login has ended already: held it would be one that nobody has.
      if (showsSessionEnded(error)) throw error
      return this.#showsInSessions
    }
  }

  /** C_Login, where it may be sent and the token is there. @returns whether it was this call that logged in */
  async #send(session: EngineSession): Promise<boolean> {
    const credentials = this.#pins.current
    if (credentials.pin === undefined) return false
    this.#pins.checkSendable()
    const { engine, timeoutMs } = this.#target
    const pin = await this.#toSend(credentials, { timeoutMs })
    const answered = await this.contact.ask(session, 'before login', timeoutMs)
    const login = () => {
      const call = { timeoutMs, watch: this.#watchLogin(credentials) }
      return engine.run(Operation.LOGIN, session, call, USER_TYPES.CKU_USER, pin)
    }
    const { failsBeforePin } = this.#target.known
    this.#sending += 1
    try {
      await patiently(login, (error) => failsBeforePin && isGeneralError(error), timeoutMs)
      if (answered) this.contact.remember('before login')
      return true
    } catch (error) {
      if (error instanceof CryptokiError && error.rv === RETURN_VALUES.CKR_USER_ALREADY_LOGGED_IN.rv) return false
      throw error
    } finally {
      this.#sending -= 1
    }
  }

  /**
   * Asks the token how its user PIN is.
   *
   * @returns what C_Login is given; null where the token has a PIN pad of its own, and takes none from here
   * @throws CREDENTIALS_REJECTED where a wrong PIN would be one too many; TOKEN_NOT_INITIALIZED, OPERATION_TIMEOUT, CRYPTOKI
   */
  async #toSend(credentials: Credentials, call: CallOptions): Promise<NativePin | null> {
    const { engine, slot } = this.#target
    const read = () => engine.run(Operation.TOKEN_INFO, undefined, call, slot)
    const token = (await patiently(read, isGeneralError, call.timeoutMs)) as NativeTokenInfo
    this.#pinFlags = pinFlags(token)
    checkPinFlags(token, credentials)
    const hasPad = hasFlag(token.flags, TOKEN_FLAGS.CKF_PROTECTED_AUTHENTICATION_PATH)
    return hasPad ? null : (credentials.pin ?? null)
  }

  #watchLogin(credentials: Credentials): CallWatch {
    const watch = credentials.watch()
    return {
      ...watch,
      returned: (rv, fn) => {
        if (rv === RETURN_VALUES.CKR_OK.rv) this.#succeeded += 1
        watch.returned(rv, fn)
      },
    }
  }

  /** A new generation: handles of private objects found before it are dead. */
  #began(): void {
    if (this.#pins.current.pin === undefined) return
    this.#generation += 1
    this.#onLogin(this.#generation)
  }
}
