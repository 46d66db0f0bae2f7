import { ClientCore } from './client-core.js'
import type { ResolvedClientOptions } from './client-options.js'
import { systemClock } from './internal/clock.js'
import { HandleCache } from './keys/handle-cache.js'
import type { NativePin } from './pkcs11/protocol.js'
import { Token } from './session/token.js'

/** A token that was found: nothing is open yet, and nobody logged in. */
export interface FoundToken {
  readonly token: Token
  /** Makes the core of its one client, which begins to open sessions. */
  begin(): ClientCore
}

/**
 * Loads the module and finds the token. `pin` is one that was made before: it stays its maker's to wipe until the token is found.
 *
 * @throws MODULE_LOAD_FAILED, PIN_UNAVAILABLE, TOKEN_NOT_FOUND, TOKEN_AMBIGUOUS, TOKEN_NOT_INITIALIZED, OPERATION_TIMEOUT, CRYPTOKI
 */
export async function findToken(options: ResolvedClientOptions, pin?: NativePin): Promise<FoundToken> {
  const cache = new HandleCache(options.keys, systemClock)
  let core: ClientCore | undefined
  const token = await Token.connect({
    module: options.module,
    initializeArgs: options.initializeArgs,
    token: options.token,
    pin: options.pin,
    nativePin: pin,
    readOnly: options.readOnly,
    timeoutMs: options.pool.createTimeoutMs,
    onLogin: (generation) => {
      // Private objects have other handles after a login.
      cache.clear()
      core?.emitter.emit('login', { generation })
    },
  })
  if (token.known.handlesComeBack) cache.numbersComeBack()
  return {
    token,
    begin() {
      core = new ClientCore(token, cache, options)
      return core
    },
  }
}
