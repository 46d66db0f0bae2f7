import { CryptokiError } from '../errors.js'
import type { Engine, EngineSession } from '../pkcs11/engine.js'
import { SESSION_STATES } from '../pkcs11/flags.js'
import { Operation } from '../pkcs11/protocol.js'
import { describeRv } from '../pkcs11/return-values.js'

const PUBLIC: ReadonlySet<number> = new Set([
  SESSION_STATES.CKS_RO_PUBLIC_SESSION,
  SESSION_STATES.CKS_RW_PUBLIC_SESSION,
])

/** C_GetSessionInfo: whether the session says that nobody is logged in (PKCS#11 2.40 section 3.3). @throws OPERATION_TIMEOUT, CRYPTOKI and its kin */
export async function isPublic(engine: Engine, session: EngineSession, timeoutMs: number): Promise<boolean> {
  const info = await engine.run(Operation.SESSION_INFO, session, { timeoutMs })
  const [, state] = info as [number | bigint, number]
  return PUBLIC.has(state)
}

/** Whether a call failed because its session, or the token with all of them, is not there any more. */
export function showsSessionEnded(error: unknown): boolean {
  if (!(error instanceof CryptokiError)) return false
  const { shows } = describeRv(error.rv)
  return shows === 'session gone' || shows === 'token gone'
}
