import { CryptokiError, Pkcs11PoolError } from '../errors.js'
import type { Engine, EngineSession } from '../pkcs11/engine.js'
import { Operation } from '../pkcs11/protocol.js'
import { showsSessionEnded } from './session-state.js'

const LENGTH = 4

/** Whether anybody was logged in: some tokens give random bytes only then. */
export type ContactMoment = 'before login' | 'after login'

/**
 * Asks the token itself whether it is there, for a few random bytes: modules answer C_GetSessionInfo, some even C_GetTokenInfo and
 * C_OpenSession, from their own memory while their token is gone.
 *
 * Not every token has a generator, or lets everybody use it. So only one that has given some before can be missed when it does not.
 *
 * Source: PKCS#11 2.40 section 5.15 (C_GenerateRandom).
 */
export class Contact {
  readonly #given = new Set<ContactMoment>()

  constructor(readonly engine: Engine) {}

  /** The token has given random bytes at such a moment. */
  remember(moment: ContactMoment): void {
    this.#given.add(moment)
  }

  /** Whether a token that does not give any now is to be missed. */
  knows(moment: ContactMoment): boolean {
    return this.#given.has(moment)
  }

  /**
   * @returns whether it gave some
   * @throws OPERATION_TIMEOUT, CRYPTOKI and its kin where it did at such a moment before, and now fails; where its session has ended
   */
  async ask(session: EngineSession, moment: ContactMoment, timeoutMs: number): Promise<boolean> {
    try {
      await this.engine.run(Operation.GENERATE_RANDOM, session, { timeoutMs }, LENGTH)
      return true
    } catch (error) {
      // A session in which a call hangs is none any more.
      if (session.lost || showsSessionEnded(error)) throw error
      if (this.knows(moment) && !isRefusal(error)) throw error
      return false
    }
  }
}

/** The token is there, and does not want to. */
function isRefusal(error: unknown): boolean {
  const category = error instanceof Pkcs11PoolError ? error.category : undefined
  return error instanceof CryptokiError && (category === 'caller' || category === 'login')
}
