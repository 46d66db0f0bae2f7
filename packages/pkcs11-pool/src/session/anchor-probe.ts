import { CryptokiError } from '../errors.js'
import { isPublic, showsSessionEnded } from './session-state.js'
import type { Token } from './token.js'

/**
 * Asks the session that holds the login how it is, and in it the token itself, where that can be asked. Where it says that nobody is
 * logged in any more, it is logged in again.
 *
 * @returns false when there is no such session, or not any more: then all others have ended too
 * @throws OPERATION_TIMEOUT, CRYPTOKI and its kin when the token cannot say, CREDENTIALS_REJECTED
 */
export async function anchorAnswers({ engine, login }: Token, timeoutMs: number): Promise<boolean> {
  // Meanwhile there is no anchor, and that is no sign of anything.
  await login.underWay
  if (login.rejection !== undefined) throw login.rejection
  const { anchor, contact, generation } = login
  if (anchor === undefined || anchor.lost) return false
  try {
    const nobodyIs = await isPublic(engine, anchor, timeoutMs)
    if (nobodyIs && login.showsInSessions) await login.renew(generation)
    else if (contact.knows('after login')) await contact.ask(anchor, 'after login', timeoutMs)
    return true
  } catch (error) {
    if (showsSessionEnded(error)) return false
    // A token that is throttled is there.
    if (error instanceof CryptokiError && error.category === 'overload' && error.fn === 'C_GenerateRandom') return true
    throw error
  }
}
