import { CryptokiError, Pkcs11PoolError } from './errors.js'
import type { EngineSession } from './pkcs11/engine.js'
import type { Entry, Pool } from './pool/index.js'
import type { Retries } from './resilience/retries.js'
import { type CallContext, checkOptions, nextCall, type OperationOptions } from './session/call-context.js'
import { bounded, Deadline, nothingSent } from './session/deadline.js'
import { PooledSession } from './session/pooled-session.js'
import { Session, type SessionOwner } from './session/session.js'
import type { Token } from './session/token.js'

/** What the leases need of their client. */
export interface LeaseHost {
  readonly pool: Pool<PooledSession>
  readonly operationTimeoutMs: number
  readonly token: Token
  /** Throws what makes every call useless: a closed client, a rejected PIN, an open breaker. */
  checkUsable(): void
  /** Throws while the token is left alone. */
  checkBreaker(): void
  /** Resolves when what is being done to bring the token back is over; undefined while nothing is. */
  readonly recovering: Promise<void> | undefined
  readonly retries: Retries
  /** Logs in again, unless somebody has since the `generation`. */
  renewLogin(generation: number): Promise<void>
  objectsChanged(): void
  observe(error: unknown): void
  /** Whether a session still does what the token is asked for in it. Never rejects. */
  readonly isSound: (pooled: PooledSession) => Promise<boolean>
  acquireEntry(options: OperationOptions, deadline: Deadline | undefined): Promise<Entry<PooledSession>>
}

/** Gives an entry back once nothing runs in its session any more: a call whose caller has gone may still be under way. */
export function giveBack(host: LeaseHost, entry: Entry<PooledSession>): void {
  const { pool } = host
  const { resource } = entry
  const { session, sharedWork } = resource
  if (sharedWork !== undefined && !session.lost) {
    void sharedWork.then(() => giveBack(host, entry))
    return
  }
  if (session.pending > 0 && !session.lost) {
    session.onIdle = () => giveBack(host, entry)
    return
  }
  session.onIdle = undefined
  if (!resource.reusable) pool.destroyEntry(entry)
  else if (resource.suspect) void lookAndGiveBack(host, entry)
  else pool.releaseEntry(entry)
}

/** Behind its caller, who has had the answer; the entry stays in use until it is known to be sound. */
async function lookAndGiveBack({ pool, isSound }: LeaseHost, entry: Entry<PooledSession>): Promise<void> {
  const { resource } = entry
  if ((await isSound(resource)) && resource.reusable) {
    resource.suspect = false
    pool.releaseEntry(entry)
  } else pool.destroyEntry(entry)
}

/** What a session of the user's own does behind its methods. `onRelease` runs once. */
class LeaseOwner implements SessionOwner {
  constructor(
    readonly host: LeaseHost,
    readonly options: OperationOptions,
    readonly deadline: Deadline | undefined,
    readonly onRelease: () => void,
  ) {}

  async attempt<R>(
    pooled: PooledSession,
    options: OperationOptions | undefined,
    call: (context: CallContext) => Promise<R>,
  ): Promise<R> {
    const context = this.#context(pooled, options)
    this.host.checkBreaker()
    if (pooled.session.era.ended) throw sessionLost()
    const { generation } = this.host.token.login
    try {
      return await this.#observed(pooled, call(context))
    } catch (error) {
      if (!(error instanceof CryptokiError) || error.category !== 'login') throw error
      const deadline = context.deadline ?? new Deadline(this.host.operationTimeoutMs)
      await bounded(this.host.renewLogin(generation), context.signal, deadline, nothingSent('logging in again'))
      return this.#observed(pooled, call(nextCall(context)))
    }
  }

  /** Takes down what a call says of the token. */
  async #observed<R>(pooled: PooledSession, called: Promise<R>): Promise<R> {
    try {
      const result = await called
      pooled.succeeded()
      this.host.observe(undefined)
      return result
    } catch (error) {
      this.host.observe(error)
      throw error
    }
  }

  objectsChanged(): void {
    this.host.objectsChanged()
  }

  giveBack(): void {
    this.onRelease()
  }

  #context(pooled: PooledSession, options: OperationOptions | undefined): CallContext {
    if (options !== undefined) checkOptions(options)
    const deadline = Deadline.of(options?.timeoutMs)
    const own = deadline?.timeoutMs ?? this.host.operationTimeoutMs
    return {
      engine: pooled.engine,
      session: pooled.session,
      login: this.host.token.login,
      timeoutMs: this.deadline?.within(own) ?? own,
      signal: either(options?.signal, this.options.signal),
      deadline: deadline ?? this.deadline,
    }
  }
}

function either(one: AbortSignal | undefined, other: AbortSignal | undefined): AbortSignal | undefined {
  if (one === undefined || one === other) return other
  return other === undefined ? one : AbortSignal.any([one, other])
}

/**
 * A session of the pool's, for the user to release. `timeoutMs` bounds the waiting for it; `deadline`, what is done with it too, and so does
 * the signal of `use`.
 */
export async function leaseSession(
  host: LeaseHost,
  options: OperationOptions,
  deadline?: Deadline,
  use: OperationOptions = options,
): Promise<Session> {
  checkOptions(options)
  host.checkUsable()
  const entry = await host.acquireEntry(options, deadline ?? Deadline.of(options.timeoutMs))
  const owner = new LeaseOwner(host, use, deadline, () => giveBack(host, entry))
  return new Session(owner, entry.resource)
}

/** Leases a session and runs `fn` on it. */
export async function runWithSession<R>(
  host: LeaseHost,
  fn: (session: Session) => R | Promise<R>,
  options: OperationOptions,
): Promise<R> {
  checkOptions(options)
  checkFunction(fn)
  const deadline = Deadline.of(options.timeoutMs)
  const session = await leaseSession(host, options, deadline)
  return runAndRelease(session, fn, options.signal, deadline)
}

/** The same on a session of its own, opened, logged in and closed for this one use. */
export async function runWithDedicatedSession<R>(
  host: LeaseHost,
  fn: (session: Session) => R | Promise<R>,
  options: OperationOptions,
): Promise<R> {
  checkOptions(options)
  checkFunction(fn)
  const deadline = Deadline.of(options.timeoutMs)
  host.checkUsable()
  options.signal?.throwIfAborted()
  const gone = new AbortController()
  const opening = openLoggedIn(host, gone.signal)
  let pooled: PooledSession
  try {
    pooled = await bounded(opening, options.signal, deadline, nothingSent('opening a session'))
  } catch (error) {
    // Its caller may have gone; what comes of it all the same is closed.
    gone.abort(error)
    void opening.then(
      (late) => closeSession(host, late),
      () => undefined,
    )
    host.observe(error)
    throw error
  }
  try {
    const session = new Session(new LeaseOwner(host, options, deadline, () => undefined), pooled)
    return await runAndRelease(session, fn, options.signal, deadline)
  } catch (error) {
    host.observe(error)
    throw error
  } finally {
    const closing = closeSession(host, pooled)
    // For a call that its caller has given up nobody waits.
    if (pooled.session.pending === 0) await closing
  }
}

/** Aborted, it stops before its next step: a session that is being opened comes into being, and is closed. */
async function openLoggedIn(host: LeaseHost, signal: AbortSignal): Promise<PooledSession> {
  const { token } = host
  await host.recovering
  const session = await token.openSession()
  try {
    signal.throwIfAborted()
    await token.login.on(session)
  } catch (error) {
    await token.closeSession(session).catch(() => undefined)
    throw error
  }
  return new PooledSession(token.engine, session)
}

/** Closes a session once nothing runs in it; whether or not it can be, what was done in it stands. */
async function closeSession(host: LeaseHost, { session }: PooledSession): Promise<void> {
  await idle(session)
  await host.token.closeSession(session).catch((error: unknown) => host.observe(error))
}

function sessionLost(): Pkcs11PoolError {
  return new Pkcs11PoolError(
    'SESSION_LOST',
    'the session ended when the token lost its sessions, and the session objects made in it ended with it; nothing was sent. ' +
      'acquire another session',
  )
}

/** @throws INVALID_ARGUMENT */
export function checkFunction(fn: unknown): void {
  if (typeof fn === 'function') return
  throw new Pkcs11PoolError(
    'INVALID_ARGUMENT',
    `what is to run on the session is ${fn === null ? 'null' : `of type ${typeof fn}`}; expected a function`,
  )
}

/** Resolves once nothing runs in a session, or never will come back from it. */
function idle(session: EngineSession): Promise<void> {
  if (session.pending === 0 || session.lost) return Promise.resolve()
  return new Promise((resolve) => {
    session.onIdle = resolve
  })
}

function unfinished(timeoutMs: number): Pkcs11PoolError {
  return new Pkcs11PoolError(
    'OPERATION_TIMEOUT',
    `the function given to withSession had not finished within timeoutMs ${timeoutMs}; its session is taken back`,
  )
}

/** Runs `fn` on a leased session, and takes it back when `fn` settles, the signal aborts or the time is up. */
export async function runAndRelease<R>(
  session: Session,
  fn: (session: Session) => R | Promise<R>,
  signal: AbortSignal | undefined,
  deadline: Deadline | undefined,
): Promise<R> {
  try {
    const work = (async () => fn(session))()
    return await bounded(work, signal, deadline, unfinished)
  } finally {
    session[Symbol.dispose]()
  }
}
