import { CryptokiError } from '../errors.js'
import { systemClock } from '../internal/clock.js'
import { pause } from '../internal/pause.js'
import { RETURN_VALUES } from '../pkcs11/return-values.js'

/** Milliseconds between the tries, 310 in all. */
const WAITS = [10, 20, 40, 80, 160] as const

/**
 * Reads what a token says of itself, some times more where it fails for a moment: SoftHSM answers CKR_GENERAL_ERROR to C_GetTokenInfo and
 * C_GetSlotList while another process writes to a token.
 *
 * @param withinMs no try is begun after it
 * @throws what the last try failed with
 */
export async function patiently<R>(
  read: () => Promise<R>,
  passes: (error: unknown) => boolean = isGeneralError,
  withinMs = Number.POSITIVE_INFINITY,
): Promise<R> {
  const until = systemClock.now() + withinMs
  for (const waitMs of WAITS) {
    try {
      return await read()
    } catch (error) {
      if (!passes(error) || systemClock.now() + waitMs >= until) throw error
    }
    await pause(waitMs)
  }
  return read()
}

export function isGeneralError(error: unknown): boolean {
  return error instanceof CryptokiError && error.rv === RETURN_VALUES.CKR_GENERAL_ERROR.rv
}
