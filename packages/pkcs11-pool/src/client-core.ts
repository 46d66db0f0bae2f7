import { ClientEmitter } from './client-events.js'
import type { ResolvedClientOptions } from './client-options.js'
import { CryptokiError, Pkcs11PoolError } from './errors.js'
import { systemClock } from './internal/clock.js'
import { KeyOperations } from './key-operations.js'
import { ClientKeys } from './keys/client-keys.js'
import type { HandleCache } from './keys/handle-cache.js'
import { mayBeAboutData } from './pkcs11/judged-data.js'
import { Operation } from './pkcs11/protocol.js'
import {
  type CloseOptions,
  createPool,
  type Entry,
  type Pool,
  type PoolSizes,
  resolveCloseTimeout,
} from './pool/index.js'
import { Recovery } from './recovery.js'
import { HealthMonitor } from './resilience/health-monitor.js'
import { HealthRecord } from './resilience/health-record.js'
import { Retries } from './resilience/retries.js'
import type { OperationOptions } from './session/call-context.js'
import { Deadline } from './session/deadline.js'
import { PooledSession } from './session/pooled-session.js'
import type { PinSource, Token } from './session/token.js'
import type { LeaseHost } from './session-leases.js'
import { SessionLimit } from './session-limit.js'

/** Threads beside one a session: for opening, logging in and closing while all sessions are busy. */
const SPARE_THREADS = 2

/** Where pool, token, key cache and health of one client meet: everything behind the façade. */
export class ClientCore implements LeaseHost {
  readonly pool: Pool<PooledSession>
  readonly sessionLimit: SessionLimit
  readonly operations: KeyOperations
  readonly keys: ClientKeys
  readonly emitter: ClientEmitter
  readonly health = new HealthRecord()
  readonly retries: Retries
  readonly recovery: Recovery
  readonly #monitor: HealthMonitor
  generation = 1
  #closing: Promise<{ abandoned: number }> | undefined

  constructor(
    readonly token: Token,
    readonly cache: HandleCache,
    readonly options: ResolvedClientOptions,
  ) {
    token.engine.setMaxThreads(options.pool.maxSize + SPARE_THREADS)
    this.retries = new Retries(options.retry)
    // Before the pool, which begins to open sessions at once.
    this.recovery = new Recovery(token, options, {
      beginGeneration: () => this.beginGeneration(),
      refuseWaiting: () => setImmediate(() => this.#refuseWaiting()),
      answered: () => this.health.answered(),
      failed: (error) => this.health.failed(error),
      changed: ({ state, retryAt, cause }) => {
        if (state === 'open') this.health.failed(cause)
        this.emitter.emit('breaker', { state, retryAt, cause })
      },
      lost: (cause) => {
        this.health.failed(cause)
        this.emitter.emit('tokenLost', { cause })
      },
      back: (downMs) => this.emitter.emit('tokenBack', { downMs }),
    })
    this.pool = createPool<PooledSession>(
      {
        create: (signal) => this.#openSession(signal),
        validate: (pooled) => this.#validate(pooled),
        exhausted: (error) => this.sessionLimit.refused(error),
        destroy: ({ session }) => token.closeSession(session),
      },
      options.pool,
    )
    this.#monitor = new HealthMonitor(options.health, systemClock, {
      heardWithin: (ms) => this.health.heardWithin(ms),
      look: (unusedForMs) => void this.#look(unusedForMs),
    })
    this.sessionLimit = new SessionLimit(token, this.pool, options.readOnly)
    this.emitter = new ClientEmitter(this.pool)
    this.operations = new KeyOperations(this, cache)
    this.keys = new ClientKeys(this.operations, cache)
  }

  /** Sessions are replaced as they come back, and handles found again. */
  beginGeneration(): void {
    this.generation += 1
    this.cache.clear()
    this.pool.reset()
  }

  get operationTimeoutMs(): number {
    return this.options.operationTimeoutMs
  }

  /** Whether calls are sent to the token now. */
  get usable(): boolean {
    return this.#closing === undefined && this.token.login.rejection === undefined && !this.recovery.breaker.blocked
  }

  checkUsable(): void {
    this.#checkOpen()
    const { rejection } = this.token.login
    if (rejection !== undefined) throw rejection
    this.checkBreaker()
  }

  checkBreaker(): void {
    const { breaker } = this.recovery
    if (breaker.blocked) throw breaker.refusal()
  }

  get recovering(): Promise<void> | undefined {
    return this.recovery.underWay
  }

  async renewLogin(generation: number): Promise<void> {
    // With the login, all sessions may have ended. What that attempt cannot mend, the next call will show.
    await this.recovery.attempt().catch(() => undefined)
    this.checkBreaker()
    await this.token.login.renew(generation)
  }

  async setPin(source: PinSource): Promise<void> {
    this.#checkOpen()
    await this.token.setPin(source)
    await this.recovering
    // Where the token is not there, it is found again first: this PIN is for no other.
    if (!this.recovery.breaker.blocked) await this.token.login.ensure()
  }

  objectsChanged(): void {
    this.cache.clear()
  }

  observe(error: unknown): void {
    if (error === undefined) {
      this.health.succeeded()
      this.recovery.breaker.succeeded()
      this.retries.succeeded()
    } else if (!(error instanceof CryptokiError && mayBeAboutData(error))) {
      this.health.failed(error)
    }
  }

  readonly isSound = async (pooled: PooledSession): Promise<boolean> => {
    if (this.recovery.breaker.blocked) return false
    try {
      if (!(await this.#validate(pooled))) return false
      // Modules answer much from memory.
      const { contact } = this.token.login
      const { validateTimeoutMs } = this.options.pool
      if (contact.knows('after login')) await contact.ask(pooled.session, 'after login', validateTimeoutMs)
      return true
    } catch {
      return false
    }
  }

  async acquireEntry(options: OperationOptions, deadline: Deadline | undefined): Promise<Entry<PooledSession>> {
    try {
      if (deadline === undefined && options.signal === undefined) return await this.#checked(this.pool.acquireEntry())
      const timeoutMs = deadline?.withinMs(this.options.pool.acquireTimeoutMs)
      return await this.#checked(this.pool.acquireEntry({ signal: options.signal, timeoutMs }))
    } catch (error) {
      this.health.failed(error)
      throw reasonOf(error) ?? error
    }
  }

  resize(sizes: PoolSizes): void {
    this.pool.resize(sizes)
    this.sessionLimit.apply()
    this.token.engine.setMaxThreads(this.pool.stats().maxSize + SPARE_THREADS)
  }

  async close(options?: CloseOptions): Promise<{ abandoned: number }> {
    this.#closing ??= this.#close(resolveCloseTimeout(options))
    return this.#closing
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) {
      throw new Pkcs11PoolError('POOL_CLOSED', 'the client was closed; make a new one with createClient')
    }
  }

  /** The breaker may have opened while a session was waited for. */
  async #checked(acquiring: Promise<Entry<PooledSession>>): Promise<Entry<PooledSession>> {
    const entry = await acquiring
    const { breaker } = this.recovery
    if (!breaker.blocked) return entry
    this.pool.releaseEntry(entry)
    throw breaker.refusal()
  }

  /** At the sessions only where the token answers: each that hangs would cost a thread. */
  async #look(unusedForMs: number): Promise<void> {
    if (await this.recovery.probe()) this.pool.probeIdle(unusedForMs)
  }

  /** After those whose own session could not be opened have heard of it: theirs is the better error. */
  #refuseWaiting(): void {
    const { breaker } = this.recovery
    if (breaker.blocked) this.pool.rejectWaiting(() => breaker.refusal())
  }

  /** Once more where what the failure showed was mended since. */
  async #openSession(signal: AbortSignal): Promise<PooledSession> {
    try {
      return await this.#tryToOpen(signal)
    } catch (error) {
      if (this.recovering === undefined) throw error
      return this.#tryToOpen(signal)
    }
  }

  async #tryToOpen(signal: AbortSignal): Promise<PooledSession> {
    // A session that is opened beside it would be one of the generation that ends.
    await this.recovering
    this.checkBreaker()
    await this.token.login.ensure()
    return new PooledSession(this.token.engine, await this.token.openSession(signal))
  }

  async #validate({ engine, session }: PooledSession): Promise<boolean> {
    if (session.lost) return false
    await engine.run(Operation.SESSION_INFO, session, { timeoutMs: this.options.pool.validateTimeoutMs })
    return true
  }

  async #close(timeoutMs: number): Promise<{ abandoned: number }> {
    const deadline = new Deadline(timeoutMs)
    this.recovery.stop()
    this.#monitor.stop()
    this.sessionLimit.stop()
    const { abandoned } = await this.pool.close({ timeoutMs })
    this.cache.clear()
    const { hung } = await this.token.close(deadline.within(timeoutMs))
    return { abandoned: Math.max(abandoned, hung) }
  }
}

/** A session could not be opened because of the PIN, or of the breaker: that is what the caller has to hear. */
function reasonOf(error: unknown): Pkcs11PoolError | undefined {
  const cause = error instanceof Pkcs11PoolError ? error.cause : undefined
  const isReason = cause instanceof Pkcs11PoolError && REASONS.has(cause.code)
  return isReason ? cause : undefined
}

const REASONS: ReadonlySet<string> = new Set(['CREDENTIALS_REJECTED', 'BREAKER_OPEN'])
