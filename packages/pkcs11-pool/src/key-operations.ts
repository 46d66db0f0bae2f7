import { CryptokiError, Pkcs11PoolError } from './errors.js'
import { pause } from './internal/pause.js'
import { confirmed, isMeant, refusedHandle } from './keys/confirmed.js'
import { cacheName, type HandleCache } from './keys/handle-cache.js'
import { RETURN_VALUES } from './pkcs11/return-values.js'
import type { Retries } from './resilience/retries.js'
import type { ObjectHandle } from './session/arguments.js'
import { type CallContext, checkOptions, nextCall, type OperationOptions } from './session/call-context.js'
import { bounded, Deadline, nothingSent } from './session/deadline.js'
import { findKey } from './session/find-key.js'
import { describeReference, type KeyReference, type KeyUse } from './session/key-reference.js'
import type { PooledSession } from './session/pooled-session.js'
import { giveBack, type LeaseHost } from './session-leases.js'

/** How a call on a pooled session is told apart from others, and whether it may be made on another session. */
export interface SessionCall {
  about?: (() => string) | undefined
  /** it makes, changes or destroys something: what a lost session says of its outcome is not enough to make it again */
  once?: boolean
}

/** One of the client's short calls: a pooled session, the key's handle, one hop, and the session back. */
export class KeyOperations {
  readonly #host: LeaseHost
  readonly #cache: HandleCache
  readonly #retries: Pick<Retries, 'next'>

  /** `retries`: when a call that failed on the token's side is made again. */
  constructor(host: LeaseHost, cache: HandleCache, retries: Pick<Retries, 'next'> = host.retries) {
    this.#host = host
    this.#cache = cache
    this.#retries = retries
  }

  /**
   * Runs `call` with the handle of the key that a captured reference means. A call that the token refused before it had any effect, because the handle, the session or the
   * login is gone, is made once more with a fresh one, once for each of these reasons.
   */
  async withKey<R>(
    reference: KeyReference,
    use: KeyUse,
    options: OperationOptions,
    call: (context: CallContext, handle: ObjectHandle) => Promise<R>,
    once = false,
  ): Promise<R> {
    const name = cacheName(reference, use)
    const meant = { reference, use }
    const run = (context: CallContext, handle: ObjectHandle): Promise<R> =>
      this.#cache.confirms ? confirmed(context, handle, meant, () => call(context, handle)) : call(context, handle)
    return this.withSession(
      options,
      async (context, pooled) => {
        const known = this.#cache.peek(name)
        const handle = known ?? (await this.handleOf(reference, use, context, pooled))
        try {
          return await run(known === undefined ? nextCall(context) : context, handle)
        } catch (error) {
          // Also where it was found just now: somebody may have destroyed the key since.
          if (!refusedHandle(error)) throw error
          this.#cache.forgetHandle(handle)
          const found = await this.handleOf(reference, use, context, pooled)
          return run(nextCall(context), found)
        }
      },
      { about: () => describeReference(reference), once },
    )
  }

  /**
   * The handle of a reference, found on the token. One search serves all who look for the same, but each is bound by a time of its
   * own: who has some left when another's search hung searches again.
   */
  async handleOf(
    reference: KeyReference,
    use: KeyUse,
    context: CallContext,
    pooled: PooledSession,
  ): Promise<ObjectHandle> {
    const name = cacheName(reference, use)
    const about = () => describeReference(reference)
    // The search is everybody's: one caller's signal or time limit must not end it for the others.
    const { engine, session } = pooled
    const { login } = this.#host.token
    const shared: CallContext = { engine, session, login, timeoutMs: this.#host.operationTimeoutMs, about }
    let { deadline } = context
    let inVain = false
    for (;;) {
      const { found, own } = this.#cache.lookUp(name, reference, async (stale) => {
        // A look at one object costs little; a search costs as much as there are objects on the token.
        if (stale !== undefined && (await isMeant(shared, stale, { reference, use }))) return stale
        const key = await findKey(shared, reference, use, { CKA_TOKEN: true })
        return key.handle
      })
      // Its own is bounded by the engine.
      if (own) pooled.share(found)
      else deadline ??= new Deadline(this.#host.operationTimeoutMs)
      const late = (timeoutMs: number): Pkcs11PoolError => {
        inVain = true
        this.#cache.giveUp(name, found)
        return nothingSent(`the search for a ${about()}`)(timeoutMs)
      }
      try {
        return await bounded(found, context.signal, deadline, late)
      } catch (error) {
        if (own || inVain || !ranOutOfTime(error)) throw error
      }
    }
  }

  /** Takes down what a failure says of the token. */
  observe(error: Pkcs11PoolError): void {
    this.#host.observe(error)
  }

  /** Runs `call` on a pooled session, and again where the token refused it for want of a login or of the session. */
  async withSession<R>(
    options: OperationOptions,
    call: (context: CallContext, pooled: PooledSession) => Promise<R>,
    { about, once = false }: SessionCall = {},
  ): Promise<R> {
    checkOptions(options)
    const host = this.#host
    const deadline = Deadline.of(options.timeoutMs)
    let attempts = 0
    let patience = deadline
    let loggedInAgain = false
    let anotherSession = false
    for (;;) {
      host.checkUsable()
      const entry = host.pool.tryAcquireEntry() ?? (await host.acquireEntry(options, deadline))
      const pooled = entry.resource
      const { login } = host.token
      const { generation } = login
      let failure: unknown
      try {
        const timeoutMs = deadline?.within(host.operationTimeoutMs) ?? host.operationTimeoutMs
        const result = await call(
          { engine: pooled.engine, session: pooled.session, login, timeoutMs, signal: options.signal, deadline, about },
          pooled,
        )
        // Of a batch, items may have failed on the token's side all the same.
        if (pooled.reusable && !pooled.suspect) {
          pooled.succeeded()
          host.observe(undefined)
        }
        return result
      } catch (error) {
        failure = error
        host.observe(error)
      } finally {
        giveBack(host, entry)
      }
      if (!(failure instanceof CryptokiError)) throw failure
      if (failure.category === 'login' && !loggedInAgain) {
        loggedInAgain = true
        await this.#wait(host.renewLogin(generation), 'logging in again', options, deadline)
      } else if (refusedSession(failure) && !anotherSession && (!once || wasBusy(failure))) {
        anotherSession = true
        // The others may have ended with it: while that is being found out, another would be tried in vain.
        const { recovering } = host
        const what = 'finding out whether the token lost its sessions'
        if (recovering !== undefined) await this.#wait(recovering, what, options, deadline)
      } else {
        attempts += 1
        patience ??= new Deadline(host.operationTimeoutMs)
        const waitMs = once
          ? undefined
          : this.#retries.next(failure, attempts, patience.within(Number.POSITIVE_INFINITY))
        if (waitMs === undefined) throw failure
        await pause(waitMs, options.signal)
      }
    }
  }

  /** Waits as long as the caller has, or else as long as one call may take. */
  #wait(
    work: Promise<void>,
    what: string,
    { signal }: OperationOptions,
    deadline = new Deadline(this.#host.operationTimeoutMs),
  ): Promise<void> {
    return bounded(work, signal, deadline, nothingSent(what))
  }
}

function ranOutOfTime(error: unknown): boolean {
  return error instanceof Pkcs11PoolError && error.code === 'OPERATION_TIMEOUT'
}

/** Of the call nothing was begun: the session was busy with something nobody ended. */
function wasBusy({ rv, fn }: CryptokiError): boolean {
  return rv === RETURN_VALUES.CKR_OPERATION_ACTIVE.rv && fn.endsWith('Init')
}

/** The session is not there, nor may the module be, or is busy with something nobody ended: nothing was done in it. */
function refusedSession({ rv }: CryptokiError): boolean {
  return (
    rv === RETURN_VALUES.CKR_SESSION_HANDLE_INVALID.rv ||
    rv === RETURN_VALUES.CKR_SESSION_CLOSED.rv ||
    rv === RETURN_VALUES.CKR_OPERATION_ACTIVE.rv ||
    rv === RETURN_VALUES.CKR_CRYPTOKI_NOT_INITIALIZED.rv
  )
}
