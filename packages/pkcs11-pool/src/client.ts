import { type BatchItem, type BatchResult, batchResults, captureBatch, sendBatch } from './batch.js'
import type { ClientCore } from './client-core.js'
import type { ClientEventName, ClientListener } from './client-events.js'
import { clientHealth, type Health } from './client-health.js'
import { clientMetrics, describeSelector } from './client-metrics.js'
import { type ClientOptions, resolveClientOptions, resolveCredentials } from './client-options.js'
import { findToken } from './connect-token.js'
import type { CryptoClient } from './crypto-client.js'
import { CryptoOperations } from './crypto-operations.js'
import type { ClientKeys } from './keys/client-keys.js'
import { toPrometheusText } from './metrics/exposition.js'
import type { CloseOptions, PoolSizes, PoolStats } from './pool/index.js'
import type { OperationOptions } from './session/call-context.js'
import { withCapture } from './session/capture.js'
import type { Session } from './session/session.js'
import type { PinSource } from './session/token.js'
import { leaseSession, runWithDedicatedSession, runWithSession } from './session-leases.js'
import type { TokenSessions } from './session-limit.js'

/** A client at one moment: the pool's figures, the engine's and the key cache's. */
export interface ClientStats extends PoolStats {
  /** logins that succeeded, ever */
  logins: number
  /** counts, from 1, what ends with the token: the sessions and handles of one generation are not used in the next */
  generation: number
  /** calls that were made again after a failure of the token, ever, and those that were not because too many had been */
  retries: { made: number; refused: number }
  /** how often this client had its module initialised again, ever */
  moduleInitializations: number
  /** how often the breaker opened, ever */
  breakerOpened: number
  tokenSessions: TokenSessions
  engine: {
    /** threads, those in hanging calls included */
    threads: number
    /** jobs waiting for a thread */
    queued: number
    /** jobs inside the module */
    running: number
    /** calls that passed their deadline inside the module and have not returned */
    hung: number
    /** calls that ever passed their deadline inside the module */
    abandoned: number
    /** jobs finished, ever */
    completed: number
  }
  keys: { cached: number; hits: number; misses: number }
}

/** A token as a program uses it: a pool of sessions, keys by label, and calls that never block. Made by {@link createClient}. */
export class Client extends CryptoOperations implements CryptoClient {
  readonly keys: ClientKeys
  readonly #core: ClientCore

  /** Use {@link createClient}. */
  constructor(core: ClientCore) {
    super({ run: (options, call) => call(core, options) })
    this.#core = core
    this.keys = core.keys
  }

  /** Several operations on one session in one hop, each settled on its own. */
  batch(items: readonly BatchItem[], options: OperationOptions = {}): Promise<BatchResult[]> {
    return withCapture(async (capture) => {
      const batch = captureBatch(capture, items)
      if (batch.items.length > 0) await sendBatch(this.#core, batch.items, batch.results, options)
      return batchResults(batch.results)
    })
  }

  /**
   * Runs `fn` on one session, and gives it back when `fn` settles. At an abort, or after `timeoutMs` (which covers the waiting for the
   * session too), it rejects at once and takes the session back: what `fn` still calls on it throws SESSION_RELEASED.
   */
  withSession<R>(fn: (session: Session) => R | Promise<R>, options: OperationOptions = {}): Promise<R> {
    return runWithSession(this.#core, fn, options)
  }

  /**
   * Runs `fn` on a session of its own, which is opened, logged in and closed for this one use: the way without a pool. It exists to be
   * compared with, and for work that must not share.
   */
  withDedicatedSession<R>(fn: (session: Session) => R | Promise<R>, options: OperationOptions = {}): Promise<R> {
    return runWithDedicatedSession(this.#core, fn, options)
  }

  /** A session, to be given back by `release`, or by `await using`. `timeoutMs` bounds the waiting for it: ACQUIRE_TIMEOUT. */
  acquire(options: OperationOptions = {}): Promise<Session> {
    return leaseSession(this.#core, options)
  }

  stats(): ClientStats {
    const { threads, queued, running, hung, abandoned, completed } = this.#core.token.engine.stats()
    return {
      ...this.#core.pool.stats(),
      logins: this.#core.token.login.generation,
      generation: this.#core.generation,
      retries: { made: this.#core.retries.made, refused: this.#core.retries.refused },
      moduleInitializations: this.#core.recovery.initializations,
      breakerOpened: this.#core.recovery.breaker.report().opened,
      tokenSessions: this.#core.sessionLimit.told,
      engine: { threads, queued, running, hung, abandoned, completed },
      keys: { cached: this.#core.cache.size, hits: this.#core.cache.hits, misses: this.#core.cache.misses },
    }
  }

  /** What calls and probes have told about the token; nothing is sent to it. */
  health(): Health {
    return clientHealth(this.#core)
  }

  /** The figures of `stats` in Prometheus' text format. */
  metrics(): string {
    return toPrometheusText({
      metrics: clientMetrics(this.stats(), this.health()),
      labels: { token: describeSelector(this.#core.options.token) },
    })
  }

  /** @throws INVALID_ARGUMENT for an event there is not */
  on<N extends ClientEventName>(event: N, listener: ClientListener<N>): this {
    this.#core.emitter.on(event, listener)
    return this
  }

  /** @throws INVALID_ARGUMENT for an event there is not */
  off<N extends ClientEventName>(event: N, listener: ClientListener<N>): this {
    this.#core.emitter.off(event, listener)
    return this
  }

  /** Closes every session, those in use when they come back, and forgets every handle. */
  reset(): void {
    this.#core.beginGeneration()
  }

  /**
   * Takes another PIN in the place of the one there is, without a restart: after it was changed at the token, or after the one there
   * was has been rejected. Sessions that are open stay logged in; where nobody is, it is sent at once, and then rejects as a
   * first login would. A PIN that this client's token has ever called wrong is not taken again.
   *
   * ```ts
   * await client.setCredentials({ pin: { file: '/run/credentials/hsm-pin' } })
   * ```
   *
   * @throws INVALID_OPTION, PIN_UNAVAILABLE, CREDENTIALS_REJECTED, OPERATION_TIMEOUT, CRYPTOKI, POOL_CLOSED
   */
  async setCredentials(credentials: { pin: PinSource }): Promise<void> {
    await this.#core.setPin(resolveCredentials(credentials))
  }

  /** @throws INVALID_OPTION */
  resize(sizes: PoolSizes): void {
    this.#core.resize(sizes)
  }

  /**
   * Closes the client: nothing new begins, sessions are waited for until `timeoutMs`, then everything is closed, the module is given
   * back and the PIN forgotten. Bounded and idempotent.
   *
   * @returns how many sessions had not come back, and calls not returned, when it gave up waiting
   */
  close(options: CloseOptions = {}): Promise<{ abandoned: number }> {
    return this.#core.close(options)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/**
 * Connects to a token: loads the module, finds the token and logs in; `minSize` sessions begin to open.
 *
 * @throws INVALID_OPTION, MODULE_LOAD_FAILED, TOKEN_NOT_FOUND (naming those there are), TOKEN_AMBIGUOUS, TOKEN_NOT_INITIALIZED,
 * PIN_UNAVAILABLE, CREDENTIALS_REJECTED (after one attempt, the only one), TOKEN_STALLED, OPERATION_TIMEOUT, CRYPTOKI
 * @example
 * ```ts
 * const client = await createClient({
 *   module: '/usr/lib/softhsm/libsofthsm2.so',
 *   token: { label: 'demo' },
 *   pin: { file: '/run/credentials/hsm-pin' },
 * })
 * const cipher = await client.encrypt({ label: 'k4', id: 1 }, { mechanism: 'CKM_AES_CBC_PAD', iv }, plain)
 * await client.close()
 * ```
 */
export async function createClient(options: ClientOptions): Promise<Client> {
  const resolved = resolveClientOptions(options)
  const { token, begin } = await findToken(resolved)
  try {
    if (resolved.connect === 'eager') await token.login.ensure()
  } catch (error) {
    await token.close(resolved.pool.createTimeoutMs)
    throw error
  }
  const core = begin()
  await core.sessionLimit.learn()
  return new Client(core)
}
