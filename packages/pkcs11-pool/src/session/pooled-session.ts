import type { Pkcs11PoolError } from '../errors.js'
import type { Engine, EngineSession } from '../pkcs11/engine.js'

/** What the pool holds: an open session, and whether it may be used again. */
export class PooledSession {
  /** made objects that live in it alone: it is closed on release, and they with it */
  holdsObjects = false
  /** answered something that leaves its state in doubt */
  doubtful = false

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

  /** Remembers what an error says about the session. */
  judge({ category }: Pkcs11PoolError): void {
    if (category === 'session' || category === 'token' || category === 'module') this.doubtful = true
  }
}
