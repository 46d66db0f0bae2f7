import { bounded, Deadline } from './deadline.js'
import { CryptokiError, Pkcs11PoolError } from './errors.js'
import type { EngineSession } from './pkcs11/engine.js'
import type { Entry, Pool } from './pool/index.js'
import { type CallContext, checkOptions, type OperationOptions } from './session/call-context.js'
import { PooledSession } from './session/pooled-session.js'
import { Session, type SessionOwner } from './session/session.js'
import type { Token } from './session/token.js'

/** What the leases need of their client. */
export interface LeaseHost {
  readonly pool: Pool<PooledSession>
  readonly operationTimeoutMs: number
  readonly token: Token
  /** Throws what makes every call useless: a closed client, a rejected PIN. */
  checkUsable(): void
  objectsChanged(): void
  observe(error: unknown): void
  acquireEntry(options: OperationOptions, deadline: Deadline | undefined): Promise<Entry<PooledSession>>
}

/** Gives an entry back once nothing runs in its session any more: a call whose caller has gone may still be under way. */
export function giveBack(pool: Pool<PooledSession>, entry: Entry<PooledSession>): void {
  const { resource } = entry
  const { session } = resource
  if (session.pending > 0 && !session.lost) {
    session.onIdle = () => giveBack(pool, entry)
    return
  }
  session.onIdle = undefined
  if (resource.reusable) pool.releaseEntry(entry)
  else pool.destroyEntry(entry)
}

/** Runs a call, and once more after a new login where the token refused it because nobody was logged in: it had no effect then. */
async function withLogin<R>(host: LeaseHost, pooled: PooledSession, call: () => Promise<R>): Promise<R> {
  const { login } = host.token
  const { generation } = login
  try {
    return await call()
  } catch (error) {
    pooled.judge(error)
    host.observe(error)
    if (!(error instanceof CryptokiError) || error.category !== 'login') throw error
    await login.renew(generation)
    return call()
  }
}

/** What a session of the user's own does behind its methods. `onRelease` runs once. */
class LeaseOwner implements SessionOwner {
  constructor(
    readonly host: LeaseHost,
    readonly options: OperationOptions,
    readonly deadline: Deadline | undefined,
    readonly onRelease: () => void,
  ) {}

  context(pooled: PooledSession, options: OperationOptions | undefined): CallContext {
    if (options !== undefined) checkOptions(options)
    const own =
      options?.timeoutMs === undefined ? this.host.operationTimeoutMs : new Deadline(options.timeoutMs).timeoutMs
    return {
      engine: pooled.engine,
      session: pooled.session,
      timeoutMs: this.deadline?.within(own) ?? own,
      signal: either(options?.signal, this.options.signal),
    }
  }

  attempt<R>(pooled: PooledSession, call: () => Promise<R>): Promise<R> {
    return withLogin(this.host, pooled, call)
  }

  objectsChanged(): void {
    this.host.objectsChanged()
  }

  giveBack(): void {
    this.onRelease()
  }
}

function either(one: AbortSignal | undefined, other: AbortSignal | undefined): AbortSignal | undefined {
  if (one === undefined || one === other) return other
  return other === undefined ? one : AbortSignal.any([one, other])
}

/** A session of the pool's, for the user to release. */
export async function leaseSession(host: LeaseHost, options: OperationOptions, deadline?: Deadline): Promise<Session> {
  checkOptions(options)
  host.checkUsable()
  const entry = await host.acquireEntry(options, deadline)
  const owner = new LeaseOwner(host, options, deadline, () => giveBack(host.pool, entry))
  return new Session(owner, entry.resource)
}

/** Runs `fn` on a leased session, which is taken back when `fn` settles, the signal aborts or the time is up. */
export async function runWithSession<R>(
  host: LeaseHost,
  fn: (session: Session) => R | Promise<R>,
  options: OperationOptions,
): Promise<R> {
  checkOptions(options)
  checkFunction(fn)
  const deadline = options.timeoutMs === undefined ? undefined : new Deadline(options.timeoutMs)
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
  const deadline = options.timeoutMs === undefined ? undefined : new Deadline(options.timeoutMs)
  host.checkUsable()
  const token = host.token
  const pooled = new PooledSession(token.engine, await token.openSession(options.signal))
  try {
    await token.login.on(pooled.session)
    const session = new Session(new LeaseOwner(host, options, deadline, () => undefined), pooled)
    return await runAndRelease(session, fn, options.signal, deadline)
  } catch (error) {
    host.observe(error)
    throw error
  } finally {
    await idle(pooled.session)
    // What fn has answered stands, whether or not its session can be closed.
    await token.closeSession(pooled.session).catch((error: unknown) => host.observe(error))
  }
}

function checkFunction(fn: unknown): void {
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

async function runAndRelease<R>(
  session: Session,
  fn: (session: Session) => R | Promise<R>,
  signal: AbortSignal | undefined,
  deadline: Deadline | undefined,
): Promise<R> {
  try {
    const work = (async () => fn(session))()
    return await (signal === undefined && deadline === undefined ? work : bounded(work, signal, deadline))
  } finally {
    session[Symbol.dispose]()
  }
}
