import { CryptokiError, Pkcs11PoolError } from '../errors.js'
import { systemClock } from '../internal/clock.js'
import { binding } from '../pkcs11/binding.js'
import { Engine, EngineSession } from '../pkcs11/engine.js'
import { hasFlag, SESSION_FLAGS, SLOT_FLAGS } from '../pkcs11/flags.js'
import { type NativeModuleInfo, type NativePin, Operation, type Reinitialization } from '../pkcs11/protocol.js'
import { describeRv } from '../pkcs11/return-values.js'
import { selectSlot, type TokenSelector } from '../pkcs11/token-info.js'
import { bounded, nothingSent } from './deadline.js'
import { type KnownToken, knownToken, findsTokensOnce } from './known-tokens.js'
import { Login, type LoginTarget } from './login.js'
import { isGeneralError, patiently } from './patience.js'

/** Where the user's PIN comes from. */
export type PinSource =
  /** a file with the PIN and at most one line end behind it; read natively, never into JavaScript */
  | { file: string }
  /** the name of an environment variable; read natively, never into JavaScript */
  | { env: string }
  /** the PIN itself, copied at once into locked memory: a Uint8Array may be wiped as soon as the call has returned */
  | { value: string | Uint8Array }

/** What connecting to a token takes. */
export interface TokenOptions {
  module: string
  initializeArgs: string | undefined
  token: TokenSelector
  pin: PinSource | undefined
  /** the PIN where it was made before, so that several tries can be made with it: not wiped when this one fails */
  nativePin?: NativePin | undefined
  readOnly: boolean
  /** bounds each single step: loading, finding the token, opening, logging in, closing */
  timeoutMs: number
  onLogin: (generation: number) => void
}

/**
 * One token of one module, with the engine that talks to it and the login of this process. Everything that is opened through it ends
 * with `close`.
 */
export class Token implements LoginTarget {
  readonly login: Login
  readonly #flags: number
  readonly #selector: TokenSelector
  #found: FoundSlot

  private constructor(
    readonly engine: Engine,
    found: FoundSlot,
    readonly timeoutMs: number,
    pin: NativePin | undefined,
    options: TokenOptions,
  ) {
    this.#found = found
    this.#selector = options.token
    this.#flags = SESSION_FLAGS.CKF_SERIAL_SESSION | (options.readOnly ? 0 : SESSION_FLAGS.CKF_RW_SESSION)
    this.login = new Login(this, pin, options.onLogin)
  }

  /**
   * Loads and initialises the module, reads the PIN and finds the token. Nothing is opened and nobody logged in yet.
   *
   * @throws MODULE_LOAD_FAILED, PIN_UNAVAILABLE, TOKEN_NOT_FOUND, TOKEN_AMBIGUOUS, TOKEN_NOT_INITIALIZED, OPERATION_TIMEOUT, CRYPTOKI
   */
  static async connect(options: TokenOptions): Promise<Token> {
    // First of all, and before anything is awaited: the caller may wipe a `value` when the call returns.
    const pin = options.nativePin ?? (options.pin === undefined ? undefined : createPin(options.pin))
    let mayBeThereNext = false
    const find = () =>
      Token.#find(options, pin, (module, hidden) => {
        mayBeThereNext = !hidden && findsTokensOnce(module)
      })
    try {
      return await patiently(find, (error) => mayBeThereNext && isNotFound(error), options.timeoutMs)
    } catch (error) {
      if (options.nativePin === undefined) pin?.wipe()
      throw error
    }
  }

  static async #find(options: TokenOptions, pin: NativePin | undefined, seen: SeenModule): Promise<Token> {
    const engine = new Engine()
    const { timeoutMs, module, initializeArgs } = options
    try {
      if (pin !== undefined) await engine.run(Operation.LOAD_PIN, undefined, { timeoutMs }, pin)
      await engine.run(Operation.LOAD, undefined, { timeoutMs, about: () => module }, module, initializeArgs)
      const found = await findSlot(engine, options.token, timeoutMs, seen)
      return new Token(engine, found, timeoutMs, pin, options)
    } catch (error) {
      await unload(engine, timeoutMs)
      throw error
    }
  }

  /**
   * Another PIN from now on; who is logged in stays so.
   *
   * @throws PIN_UNAVAILABLE, CREDENTIALS_REJECTED, OPERATION_TIMEOUT
   */
  async setPin(source: PinSource): Promise<void> {
    const pin = createPin(source)
    try {
      await this.engine.run(Operation.LOAD_PIN, undefined, { timeoutMs: this.timeoutMs }, pin)
      await this.login.replacePin(pin)
    } catch (error) {
      pin.wipe()
      throw error
    }
  }

  /** The slot that the token was last seen in. */
  get slot(): number | bigint {
    return this.#found.slot
  }

  /** What is known of its kind. */
  get known(): KnownToken {
    return this.#found.known
  }

  /**
   * Finds the token again: after it was lost it may come back in another slot, and another token, which must not be sent this one's PIN,
   * in its own.
   *
   * @throws TOKEN_NOT_FOUND, TOKEN_AMBIGUOUS, TOKEN_NOT_INITIALIZED, OPERATION_TIMEOUT, CRYPTOKI
   */
  async locate(): Promise<void> {
    this.#found = await findSlot(this.engine, this.#selector, this.timeoutMs)
  }

  /**
   * C_Finalize and C_Initialize of the module, once no call of any client in this process is inside; none is let in meanwhile. All
   * their sessions end. `kept` where it stays as initialised as it was: by somebody else, or because its C_Finalize fails.
   *
   * @throws OPERATION_TIMEOUT, CRYPTOKI
   */
  async initializeAgain(drainMs: number, evenIfShared: boolean): Promise<Reinitialization | 'kept'> {
    const call = { timeoutMs: drainMs + 2 * this.timeoutMs }
    try {
      const outcome = await this.engine.run(Operation.REINITIALIZE, undefined, call, drainMs, evenIfShared ? 1 : 0)
      return outcome as Reinitialization
    } catch (error) {
      if (error instanceof CryptokiError && saysKept(error)) return 'kept'
      throw error
    }
  }

  /** C_OpenSession. What comes of it after an abort is closed: the engine cannot know that nobody wants it. */
  async openSession(signal?: AbortSignal): Promise<EngineSession> {
    const { engine, slot, timeoutMs } = this
    const opening = engine
      .run(Operation.OPEN_SESSION, undefined, { timeoutMs }, slot, this.#flags)
      .then((id) => new EngineSession(id as number, engine.era))
    try {
      return await bounded(opening, signal, undefined, nothingSent('opening a session'))
    } catch (error) {
      if (signal?.aborted) void opening.then((late) => this.closeSession(late)).catch(() => undefined)
      throw error
    }
  }

  /**
   * C_CloseSession; of a session in which a call hangs, the engine takes care itself. Where it does not get its turn in time, or the token
   * refuses it, it is asked for again behind its caller: what is not closed stays open at the token, which has room for so many.
   */
  async closeSession(session: EngineSession, timeoutMs = this.timeoutMs): Promise<void> {
    if (session.lost) return
    try {
      await this.engine.run(Operation.CLOSE_SESSION, session, { timeoutMs })
    } catch (error) {
      if (wasNotSent(error) || wasRefused(error)) {
        systemClock.setTimeout(() => void this.#closeBehind(session), this.timeoutMs)
      }
      throw error
    }
  }

  /** Until it is done, or the client closes, which closes everything. */
  async #closeBehind(session: EngineSession): Promise<void> {
    await this.closeSession(session).catch(() => undefined)
  }

  /**
   * Closes the anchor, gives the module back and ends the threads, all within `timeoutMs`; what is not done by then, the engine does
   * behind it. Says how many calls hang inside the module and are left there.
   */
  async close(timeoutMs: number): Promise<{ hung: number }> {
    const until = systemClock.now() + timeoutMs
    try {
      await this.login.close(timeoutMs)
    } catch {
      // A session that cannot be closed ends with C_Finalize, or with the process.
    }
    const { hung } = this.engine.stats()
    await unload(this.engine, Math.max(0, until - systemClock.now()))
    this.login.forgetPins()
    return { hung }
  }
}

/** Nothing of the call has reached the module: all threads were busy, or hang. */
function wasNotSent(error: unknown): boolean {
  return error instanceof Pkcs11PoolError && NOT_SENT.has(error.code) && error.category === 'overload'
}

/** The session is still open: nothing says that it, the token or the module is gone. */
function wasRefused(error: unknown): boolean {
  return error instanceof CryptokiError && describeRv(error.rv).shows === undefined
}

const NOT_SENT: ReadonlySet<string> = new Set(['OPERATION_TIMEOUT', 'TOKEN_STALLED'])

/** Where the token is, and what is known of its kind. */
interface FoundSlot {
  readonly slot: number | bigint
  readonly known: KnownToken
}

/** Told what the module has said of itself, and whether a token is there that has not. */
type SeenModule = (info: NativeModuleInfo, hidden: boolean) => void

async function findSlot(
  engine: Engine,
  selector: TokenSelector,
  timeoutMs: number,
  seen: SeenModule = () => undefined,
): Promise<FoundSlot> {
  let hidden = false
  return patiently(
    async () => {
      const info = (await engine.run(Operation.INSPECT, undefined, { timeoutMs }, 0)) as NativeModuleInfo
      hidden = info.slots.some(({ flags, token }) => token === null && hasFlag(flags, SLOT_FLAGS.CKF_TOKEN_PRESENT))
      seen(info, hidden)
      const { slotID, token } = selectSlot(info, selector)
      return { slot: slotID, known: knownToken(token) }
    },
    // A token that did not answer may be the one.
    (error) => isGeneralError(error) || (hidden && isNotFound(error)),
  )
}

function isNotFound(error: unknown): boolean {
  return error instanceof Pkcs11PoolError && error.code === 'TOKEN_NOT_FOUND'
}

/** @throws PIN_UNAVAILABLE */
export function createPin(source: PinSource): NativePin {
  try {
    return new binding.Pin(source)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new Pkcs11PoolError('PIN_UNAVAILABLE', `${reason}; correct \`pin\``)
  }
}

/** Gives the module back. Whatever it answers, or if it does not, this process is done with it. */
export async function unload(engine: Engine, timeoutMs: number): Promise<void> {
  try {
    await engine.run(Operation.UNLOAD, undefined, { timeoutMs })
  } catch {
    // C_Finalize hangs or fails at some vendors; the module stays initialised then, and is used so by the next client.
  }
  engine.dispose()
}

/** The engine looks behind a C_Finalize that fails: were the module not initialised any more, it would be now. */
function saysKept({ fn, rvName }: CryptokiError): boolean {
  return fn === 'C_Finalize' || rvName === 'CKR_CRYPTOKI_ALREADY_INITIALIZED'
}
