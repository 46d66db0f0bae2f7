import { CryptokiError, type Pkcs11PoolError } from '../errors.js'
import type { Engine, EngineSession } from '../pkcs11/engine.js'
import { mayBeAboutData } from '../pkcs11/judged-data.js'

/** How often in a row a session may answer what is about its callers' data or about itself, until it is taken to be about itself. */
const MOST_SUSPICIONS = 16

/** What the pool holds: an open session, and whether it may be used again. */
export class PooledSession {
  /** made objects that live in it alone: it is closed on release, and they with it */
  holdsObjects = false
  /** answered something that leaves its state in doubt */
  doubtful = false
  /** answered what may be about its caller's data as well: it is looked at before it is used again */
  suspect = false
  #suspicions = 0
  #shared: Promise<void> | undefined

  constructor(
    readonly engine: Engine,
    readonly session: EngineSession,
  ) {
    // Here and not where a call is awaited: its caller may have gone, or await what ran in another's session.
    session.onFailure = (error) => this.judge(error)
  }

  get reusable(): boolean {
    return !this.session.lost && !this.doubtful && !this.holdsObjects
  }

  /** Resolves when what runs in it for others too is over; undefined while nothing does. */
  get sharedWork(): Promise<void> | undefined {
    return this.#shared
  }

  /** Something of several calls runs in it that others wait for too: it goes on when the caller whose session this is has gone. */
  share(work: Promise<unknown>): void {
    const over = (): void => {
      if (this.#shared === shared) this.#shared = undefined
    }
    const shared = work.then(over, over)
    this.#shared = shared
  }

  /** A call in it did what it was to do. */
  succeeded(): void {
    this.#suspicions = 0
  }

  /** Remembers what an error says about the session. */
  judge(error: Pkcs11PoolError): void {
    const { category } = error
    // In a session of the pool's it is a login for one use, which has begun: not every token can end that but with the session.
    if (error instanceof CryptokiError && error.fn === 'C_Login') this.doubtful = true
    if (category !== 'session' && category !== 'token' && category !== 'module') return
    if (mayBeAboutData(error)) {
      this.suspect = true
      this.#suspicions += 1
    } else this.doubtful = true
    if (this.#suspicions > MOST_SUSPICIONS) this.doubtful = true
  }
}
