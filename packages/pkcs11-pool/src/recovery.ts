import { CryptokiError, Pkcs11PoolError } from './errors.js'
import { systemClock } from './internal/clock.js'
import { type FailedCall, isAfter } from './pkcs11/engine.js'
import { Operation, Reinitialization } from './pkcs11/protocol.js'
import { Breaker, type BreakerReport } from './resilience/breaker.js'
import { evidenceOf } from './resilience/evidence.js'
import type { ResolvedResilience } from './resilience/options.js'
import { ProbeThrift } from './resilience/probe-thrift.js'
import { Rebuilds } from './resilience/rebuilds.js'
import { anchorAnswers } from './session/anchor-probe.js'
import type { Token } from './session/token.js'

/** What recovery asks of, and tells, its client. */
export interface RecoveryHooks {
  /** Nothing of before is used any more: sessions are replaced, handles found again. */
  beginGeneration(): void
  /** The breaker opened: those who wait would wait in vain. */
  refuseWaiting(): void
  /** The token answered a probe. */
  answered(): void
  /** A probe failed that no call had asked for. */
  failed(error: Pkcs11PoolError): void
  changed(report: BreakerReport): void
  lost(cause: Pkcs11PoolError): void
  back(downMs: number): void
}

/** How many of the breaker's longest waits pass between two probes while calls hang and none returns. */
const PATIENCE = 6

/** How long calls that are inside the module are waited for before it is initialised again. */
const DRAIN_MS = 1_000

/** Failures of these come when all else is over, and show nothing that their cause had not shown before. */
const ENDINGS: ReadonlySet<Operation> = new Set([Operation.CLOSE_SESSION, Operation.DROP_SESSIONS, Operation.UNLOAD])

/**
 * Finds out from failed calls whether the token, or all its sessions, are gone, and brings them back.
 *
 * It looks at the anchor, the session that holds the login. While that answers, a lost session was one of its own. When it is gone too, or
 * its token has not answered in it for a while, all sessions are dropped, the token is found again and logged in anew: a new generation, in
 * which nothing of the old one is used. One such attempt runs at a time; while the breaker is open it is the breaker's probe. A module that
 * is not initialised any more, or whose token does not come back, is initialised again, once for all its clients in the process.
 */
export class Recovery {
  readonly breaker: Breaker
  /** how often this client had its module initialised again */
  initializations = 0
  readonly #token: Token
  readonly #probeTimeoutMs: number
  readonly #hooks: RecoveryHooks
  readonly #thrift: ProbeThrift
  readonly #rebuilds = new Rebuilds()
  #attempt: Promise<void> | undefined
  #dropped: Promise<void> | undefined
  #lostAt: number | undefined
  /** failures of calls made before this one show nothing any more */
  #judgedFrom: number

  constructor(token: Token, options: ResolvedResilience, hooks: RecoveryHooks) {
    this.#token = token
    this.#probeTimeoutMs = options.health.probeTimeoutMs
    this.#hooks = hooks
    this.#thrift = new ProbeThrift(systemClock, PATIENCE * options.breaker.maxBackoffMs)
    this.#judgedFrom = token.engine.lastCall
    this.breaker = new Breaker(options.breaker, systemClock, {
      probe: () => this.attempt(),
      changed: (report) => this.#breakerChanged(report),
    })
    token.engine.onFailure = (error, call) => this.#failed(error, call)
  }

  /** Resolves when the attempt that is under way is over, however it ended; undefined while none is. */
  get underWay(): Promise<void> | undefined {
    return this.#attempt?.catch(() => undefined)
  }

  /** Looks at the token, and brings it back where it was lost; those who ask meanwhile share the attempt. */
  attempt(): Promise<void> {
    this.#attempt ??= this.#restore().finally(() => {
      this.#attempt = undefined
    })
    return this.#attempt
  }

  /** Finds out whether all sessions have ended, and the login with them, and mends it; else the breaker opens. */
  async look(): Promise<void> {
    if (this.breaker.blocked) return
    try {
      await this.attempt()
    } catch (error) {
      this.breaker.trip(error as Pkcs11PoolError)
    }
  }

  /** Looks at a token that nobody has heard of; a failure counts as one, and where all sessions have ended, for certain. */
  async probe(): Promise<boolean> {
    const { login } = this.#token
    // Nothing was ever open, or nothing may be sent. Where a new login has failed, only a probe brings the token back without a call.
    if (this.breaker.blocked || !login.wasHeld || login.rejection !== undefined) return false
    try {
      await this.attempt()
      return !this.breaker.blocked
    } catch (error) {
      const failure = error as Pkcs11PoolError
      this.#hooks.failed(failure)
      if (this.#dropped === undefined) this.breaker.failed(failure)
      else this.breaker.trip(failure)
      return false
    }
  }

  stop(): void {
    this.breaker.stop()
    this.#token.engine.onFailure = undefined
  }

  #failed(error: Pkcs11PoolError, { number, operation, session }: FailedCall): void {
    if (ENDINGS.has(operation) || !isAfter(number, this.#judgedFrom)) return
    switch (evidenceOf(error)) {
      case 'nothing':
        return
      case 'doubt':
        if (this.#attempt === undefined && this.breaker.doubted()) void this.look()
        return
      case 'failure':
        // What is wrong is being found out already.
        if (this.#attempt === undefined) this.breaker.failed(error)
        return
      case 'token gone':
        void this.#drop(error)
        this.breaker.trip(error)
        return
      case 'session gone':
      case 'module not initialised':
        if (session?.lost !== true && this.#attempt === undefined) void this.look()
    }
  }

  async #restore(): Promise<void> {
    const { engine, login } = this.#token
    this.#thrift.check(engine.stats().hung, engine.maxThreads)
    try {
      await this.#lookAndRebuild()
    } catch (error) {
      // The token answers, and has refused the PIN: a breaker could not say it better.
      if (login.rejection === undefined) {
        const failure = asError(error)
        this.#thrift.failed(failure, engine.stats().hung)
        throw failure
      }
    }
    this.#thrift.succeeded()
    this.#dropped = undefined
    this.#hooks.answered()
    if (!this.breaker.blocked) this.#back()
  }

  async #lookAndRebuild(): Promise<void> {
    try {
      const lost = await this.#lookForLoss()
      if (lost === undefined) this.#rebuilds.succeeded()
      else await this.#rebuild(lost)
    } catch (error) {
      if (!(error instanceof Pkcs11PoolError) || evidenceOf(error) !== 'module not initialised') throw error
      const outcome = await this.#initializeAgain(true)
      if (outcome === 'new') await this.#rebuild(error)
      // It may have been shut only while another client tried to have it initialised again.
      else if (!(await anchorAnswers(this.#token, this.#probeTimeoutMs).catch(() => false))) {
        throw outcome === 'busy' ? busy(error) : kept(error)
      }
    }
  }

  /** Why all sessions have ended, or are to; undefined where they have not. */
  async #lookForLoss(): Promise<Pkcs11PoolError | undefined> {
    try {
      return (await anchorAnswers(this.#token, this.#probeTimeoutMs)) ? undefined : sessionsEnded()
    } catch (error) {
      // Nobody uses the sessions while the breaker is open, and new ones may reach a token that these do not.
      if (!saysTrouble(error) || !this.breaker.blocked || !this.#rebuilds.unanswered()) throw error
      return error
    }
  }

  async #rebuild(cause: Pkcs11PoolError): Promise<void> {
    await this.#drop(cause)
    const { next } = this.#rebuilds
    try {
      if (next !== 'as it is') await this.#initializeAgain(next === 'initialise')
      await this.#token.locate()
      const { login } = this.#token
      await login.ensure()
      // One that was under way when the sessions were dropped has lost its own.
      if (login.anchor?.lost === true) await login.ensure()
    } catch (error) {
      // A token that throttles is there: taking the module from under it and its other clients would add to its load.
      if (!(error instanceof CryptokiError) || error.category !== 'overload') this.#rebuilds.failed()
      throw error
    }
    this.#rebuilds.succeeded()
  }

  /**
   * `new` where it was done, by whomever; never while a call hangs inside, to which nobody knows what C_Finalize does. `kept` where the
   * module, or another part of the process, does not let it.
   */
  async #initializeAgain(evenIfShared: boolean): Promise<'new' | 'busy' | 'kept'> {
    if (this.#token.engine.stats().hung > 0) return 'busy'
    const outcome = await this.#token.initializeAgain(DRAIN_MS, evenIfShared)
    if (outcome === Reinitialization.DONE) this.initializations += 1
    if (outcome === Reinitialization.DONE || outcome === Reinitialization.ADOPTED) return 'new'
    return outcome === Reinitialization.BUSY ? 'busy' : 'kept'
  }

  /** All sessions have ended. Resolves when what the module still has of them is closed: no new one is opened before. */
  #drop(cause: Pkcs11PoolError): Promise<void> {
    if (this.#dropped !== undefined) return this.#dropped
    const { engine, timeoutMs } = this.#token
    this.#dropped = engine.dropSessions({ timeoutMs }).catch(() => undefined)
    this.#lost(cause)
    this.#hooks.beginGeneration()
    return this.#dropped
  }

  #breakerChanged(report: BreakerReport): void {
    if (report.state === 'open') {
      if (report.cause !== undefined) this.#lost(report.cause)
      this.#hooks.refuseWaiting()
    }
    if (report.state === 'closed') {
      this.#judgedFrom = this.#token.engine.lastCall
      this.#hooks.beginGeneration()
    }
    this.#hooks.changed(report)
    if (report.state === 'closed') this.#back()
  }

  #lost(cause: Pkcs11PoolError): void {
    if (this.#lostAt !== undefined) return
    this.#lostAt = systemClock.now()
    this.#hooks.lost(cause)
  }

  #back(): void {
    if (this.#lostAt === undefined) return
    const downMs = systemClock.now() - this.#lostAt
    this.#lostAt = undefined
    this.#hooks.back(downMs)
  }
}

function busy(cause: Pkcs11PoolError): Pkcs11PoolError {
  return new Pkcs11PoolError(
    'TOKEN_STALLED',
    'the module has to be initialised again, and cannot be: calls are inside it that do not return. restart the process if they never do',
    { category: 'module', cause },
  )
}

function kept(cause: Pkcs11PoolError): Pkcs11PoolError {
  return new Pkcs11PoolError(
    'TOKEN_STALLED',
    'the module has to be initialised again, and cannot be: its C_Finalize fails, or another part of the process has initialised it. find what ' +
      'else uses it in this process, and restart the process if it stays so',
    { category: 'module', cause },
  )
}

function sessionsEnded(): Pkcs11PoolError {
  return new Pkcs11PoolError(
    'SESSION_LOST',
    'the token dropped the session that holds the login, and all others with it',
  )
}

/** The module has answered that it cannot ask its token. */
function saysTrouble(error: unknown): error is CryptokiError {
  if (!(error instanceof CryptokiError)) return false
  const evidence = evidenceOf(error)
  return evidence === 'failure' || evidence === 'doubt'
}

function asError(error: unknown): Pkcs11PoolError {
  if (error instanceof Pkcs11PoolError) return error
  const reason = error instanceof Error ? error.message : String(error)
  return new Pkcs11PoolError('INTERNAL', `looking at the token failed: ${reason}`, { cause: error })
}
