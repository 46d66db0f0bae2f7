import { ExponentialBackoff, halfJitterGenerator, type IBackoffFactory } from 'cockatiel'
import { Client } from '../client.js'
import type { ClientCore } from '../client-core.js'
import type { ResolvedClientOptions } from '../client-options.js'
import { findToken } from '../connect-token.js'
import { Pkcs11PoolError } from '../errors.js'
import { systemClock, type Timer } from '../internal/clock.js'
import type { NativePin } from '../pkcs11/protocol.js'
import { createPin } from '../session/token.js'

/** The most that the waits between tries come to where one was given up inside the module: each may cost a thread for ever. */
const PATIENCE_MS = 600_000

/** What a member tells its group. */
export interface MemberHooks {
  /** Its token was found; whether it can be used, it says itself. */
  connected(member: Member): void
  failed(member: Member, error: Pkcs11PoolError, retryAt: Date | undefined): void
}

/**
 * One token of a group. Until the token is found it is tried again and again, further and further apart; no PIN is sent before. From
 * then on it has a client, whose breaker and whose guard of the PIN decide when it is left alone and when it is used again.
 */
export class Member {
  readonly name: string
  readonly options: ResolvedClientOptions
  readonly #hooks: MemberHooks
  readonly #pin: NativePin | undefined
  #core: ClientCore | undefined
  #client: Client | undefined
  #failure: Pkcs11PoolError | undefined
  #retryAt: Date | undefined
  #trying: Promise<void> | undefined
  #waits: IBackoffFactory<unknown> | undefined
  #timer: Timer | undefined
  #closed = false

  /** @throws PIN_UNAVAILABLE */
  constructor(name: string, options: ResolvedClientOptions, hooks: MemberHooks) {
    this.name = name
    this.options = options
    this.#hooks = hooks
    // For all tries, and at once: the caller may wipe a `value` when its call returns.
    this.#pin = options.pin === undefined ? undefined : createPin(options.pin)
  }

  /** Its client, once its token was found. */
  get client(): Client | undefined {
    return this.#client
  }

  get core(): ClientCore | undefined {
    return this.#core
  }

  /** Why its token was not found, at the last try. */
  get failure(): Pkcs11PoolError | undefined {
    return this.#failure
  }

  /** Whether calls are sent to it now. */
  get usable(): boolean {
    return this.#core?.usable === true
  }

  /** How much of it is taken: from 1 on, who comes has to wait. */
  get load(): number {
    if (this.#core === undefined) return Number.POSITIVE_INFINITY
    const { inUse, waiting, effectiveMaxSize } = this.#core.pool.stats()
    return (inUse + waiting) / Math.max(effectiveMaxSize, 1)
  }

  /** Why nothing is sent to it now; undefined while it is usable. `retryAt`: when it is tried next, where that is known. */
  get refusal(): { error: Pkcs11PoolError; retryAt: Date | undefined } | undefined {
    if (this.#core === undefined) return { error: this.#failure ?? stillConnecting(), retryAt: this.#retryAt }
    try {
      this.#core.checkUsable()
      return undefined
    } catch (error) {
      return { error: error as Pkcs11PoolError, retryAt: this.#core.recovery.breaker.report().retryAt }
    }
  }

  /** One try; more follow by themselves where the token is not found. Resolves when it is over, however it ended. */
  connect(): Promise<void> {
    this.#trying ??= this.#try().finally(() => {
      this.#trying = undefined
    })
    return this.#trying
  }

  /** @returns how many sessions or calls it had to leave behind */
  async close(timeoutMs: number | undefined): Promise<{ abandoned: number }> {
    this.#closed = true
    this.#timer?.cancel()
    if (this.#client !== undefined) return this.#client.close({ timeoutMs })
    // A try that is under way ends by itself, and closes what it has found.
    if (this.#trying === undefined) this.#pin?.wipe()
    return { abandoned: 0 }
  }

  async #try(): Promise<void> {
    this.#retryAt = undefined
    try {
      const { token, begin } = await findToken(this.options, this.#pin)
      if (this.#closed) {
        await token.close(token.timeoutMs)
        return
      }
      const refused = this.options.connect === 'eager' ? await failureOf(token.login.ensure()) : undefined
      const core = begin()
      // A rejected PIN is latched; all else the breaker's probes try again.
      if (refused === undefined) await core.sessionLimit.learn()
      else if (token.login.rejection === undefined) core.recovery.breaker.trip(refused)
      if (this.#closed) await core.close()
      else this.#found(core, refused)
    } catch (error) {
      this.#failed(asError(error))
    }
  }

  #found(core: ClientCore, refused: Pkcs11PoolError | undefined): void {
    this.#core = core
    this.#client = new Client(core)
    this.#failure = undefined
    this.#hooks.connected(this)
    if (refused !== undefined) this.#hooks.failed(this, refused, this.refusal?.retryAt)
  }

  #failed(error: Pkcs11PoolError): void {
    if (this.#closed) {
      this.#pin?.wipe()
      return
    }
    this.#failure = error
    const wait = (this.#waits ?? this.#firstWait(error)).next(undefined)
    this.#waits = wait
    this.#retryAt = new Date(Date.now() + wait.duration)
    this.#timer = systemClock.setTimeout(() => void this.connect(), wait.duration)
    this.#hooks.failed(this, error, this.#retryAt)
  }

  #firstWait({ code }: Pkcs11PoolError): IBackoffFactory<unknown> {
    const { initialBackoffMs, maxBackoffMs } = this.options.breaker
    return new ExponentialBackoff({
      generator: halfJitterGenerator,
      initialDelay: initialBackoffMs,
      maxDelay: code === 'OPERATION_TIMEOUT' ? PATIENCE_MS : maxBackoffMs,
    })
  }
}

function failureOf(login: Promise<void>): Promise<Pkcs11PoolError | undefined> {
  return login.then(() => undefined, asError)
}

function asError(error: unknown): Pkcs11PoolError {
  if (error instanceof Pkcs11PoolError) return error
  const reason = error instanceof Error ? error.message : String(error)
  return new Pkcs11PoolError('INTERNAL', `connecting failed: ${reason}`, { cause: error })
}

/** Why a member cannot be used before its first try is over. */
export function stillConnecting(): Pkcs11PoolError {
  return new Pkcs11PoolError('TOKEN_NOT_FOUND', 'its token is being looked for')
}
