import { Pkcs11PoolError } from '../errors.js'
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
  ) {}

  get reusable(): boolean {
    return !this.session.lost && !this.doubtful && !this.holdsObjects
  }

  /** Remembers what an error says about the session. */
  judge(error: unknown): void {
    if (!(error instanceof Pkcs11PoolError)) return
    const { category } = error
    if (category === 'session' || category === 'token' || category === 'module') this.doubtful = true
  }
}
