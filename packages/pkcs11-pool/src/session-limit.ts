import { CryptokiError } from './errors.js'
import { type Clock, systemClock, type Timer } from './internal/clock.js'
import { type NativeTokenInfo, Operation } from './pkcs11/protocol.js'
import { RETURN_VALUES } from './pkcs11/return-values.js'
import { describeToken } from './pkcs11/token-info.js'
import type { Pool } from './pool/index.js'
import type { Token } from './session/token.js'

/** How long a token that has no more sessions is left alone before more are asked for. */
const ASK_AGAIN_MS = 30_000

/** What a token told last of the sessions that this process may have open, of all its clients together. */
export interface TokenSessions {
  /** Infinity where it sets no limit, undefined where it does not say */
  max: number | undefined
  /** open, but not this client's: of another client, of another library, or of a call that hangs */
  elsewhere: number | undefined
}

/** Of a pool, what bounds it and what is open of it. */
type LimitedPool = Pick<Pool<unknown>, 'limitTo' | 'stats'>

/**
 * Keeps the pool within what the token has: ulMaxSessionCount (and ulMaxRwSessionCount, where sessions write) without what others
 * have open and without the session that holds the login; and where the token refuses one more all the same (CKR_SESSION_COUNT),
 * with what there is (see `exhausted` of its factory). What others have they may give back, so while it keeps the pool small the token is asked again at intervals.
 *
 * Source: PKCS#11 2.40 section 3.2, CK_TOKEN_INFO.
 */
export class SessionLimit {
  #told: TokenSessions = { max: undefined, elsewhere: undefined }
  #learned: Promise<void> | undefined
  #timer: Timer | undefined

  constructor(
    readonly token: Pick<Token, 'engine' | 'slot' | 'timeoutMs' | 'login'>,
    readonly pool: LimitedPool,
    readonly readOnly: boolean,
    readonly clock: Clock = systemClock,
  ) {}

  get told(): TokenSessions {
    return this.#told
  }

  /** Asks the token, unless it was asked before. Where it does not answer, nothing is known. */
  learn(): Promise<void> {
    this.#learned ??= this.#ask()
    return this.#learned
  }

  /** Holds the pool to what the token told: `resize` has lifted it. */
  apply(): void {
    const { max = Number.POSITIVE_INFINITY, elsewhere = 0 } = this.#told
    const bound = max - elsewhere - 1
    this.pool.limitTo(Number.isFinite(bound) ? Math.max(0, Math.min(bound, 1_000_000)) : bound)
  }

  /** Told of a session that could not be opened. @returns whether the token has no more: it is asked again later */
  refused(error: unknown): boolean {
    if (!(error instanceof CryptokiError) || error.rv !== RETURN_VALUES.CKR_SESSION_COUNT.rv) return false
    this.#askLater()
    return true
  }

  stop(): void {
    this.#timer?.cancel()
  }

  async #ask(): Promise<void> {
    const { engine, slot, timeoutMs } = this.token
    const before = this.#own()
    let info: NativeTokenInfo
    try {
      info = (await engine.run(Operation.TOKEN_INFO, undefined, { timeoutMs }, slot)) as NativeTokenInfo
    } catch {
      // What it told before may hold no more, and demand shows.
      this.#told = { max: this.#told.max, elsewhere: undefined }
      return this.apply()
    }
    // Those that were opened or closed meanwhile may or may not be counted. Too high a limit costs a refusal, too low a one sessions.
    this.#told = sessionsOf(info, this.readOnly, Math.max(before, this.#own()))
    this.apply()
    const { max = 0, elsewhere = 0 } = this.#told
    if (elsewhere > 0 && max - elsewhere - 1 < this.pool.stats().maxSize) this.#askLater()
  }

  #askLater(): void {
    this.#timer ??= this.clock.setTimeout(() => {
      this.#timer = undefined
      void this.#ask()
    }, ASK_AGAIN_MS)
  }

  /** Sessions of this client that the token counts: the pool's, and the one that holds the login. */
  #own(): number {
    const { currentSize, creating, orphaned, destroying } = this.pool.stats()
    return currentSize + creating + orphaned + destroying + (this.token.login.held ? 1 : 0)
  }
}

function sessionsOf(info: NativeTokenInfo, readOnly: boolean, own: number): TokenSessions {
  const { maxSessionCount, sessionCount, maxRwSessionCount, rwSessionCount } = describeToken(info)
  const all = { max: maxSessionCount, elsewhere: elsewhere(sessionCount, own) }
  const writing = { max: maxRwSessionCount, elsewhere: elsewhere(rwSessionCount, own) }
  return !readOnly && left(writing) < left(all) ? writing : all
}

function elsewhere(count: number | undefined, own: number): number | undefined {
  return count === undefined ? undefined : Math.max(0, count - own)
}

function left({ max = Number.POSITIVE_INFINITY, elsewhere: taken = 0 }: TokenSessions): number {
  return max - taken
}
