import { isPublic, showsSessionEnded } from './session-state.js'
import type { Token } from './token.js'

/**
 * Asks the session that holds the login how it is: the cheapest call there is. Where it says that nobody is logged in any more, it is
 * logged in again.
 *
 * @returns false when there is no such session, or not any more: then all others have ended too
 * @throws OPERATION_TIMEOUT, CRYPTOKI and its kin when the token cannot say, CREDENTIALS_REJECTED
 */
export async function anchorAnswers({ engine, login }: Token, timeoutMs: number): Promise<boolean> {
  // Meanwhile there is no anchor, and that is no sign of anything.
  await login.underWay
  if (login.rejection !== undefined) throw login.rejection
  const { anchor, generation } = login
  if (anchor === undefined || anchor.lost) return false
  try {
    if ((await isPublic(engine, anchor, timeoutMs)) && login.showsInSessions) await login.renew(generation)
    return true
  } catch (error) {
    if (showsSessionEnded(error)) return false
    throw error
  }
}
