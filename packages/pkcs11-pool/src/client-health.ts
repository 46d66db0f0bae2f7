import type { ClientCore } from './client-core.js'
import type { BreakerReport } from './resilience/breaker.js'
import type { HealthReport } from './resilience/health-record.js'
import type { PinFlag } from './session/pin-flags.js'

/** How a token is, and whether calls are sent to it. */
export interface Health extends HealthReport {
  /** what the token said of its user PIN when it was last asked, which it is before each time that it is sent one; it may always say nothing */
  pinFlags: readonly PinFlag[]
  breaker: BreakerReport
}

/** What calls and probes have told about a client's token. */
export function clientHealth({ health, pool, recovery, token }: ClientCore): Health {
  const { effectiveMaxSize, maxSize } = pool.stats()
  const impaired = effectiveMaxSize < maxSize || token.engine.stats().hung > 0
  const { rejection, pinFlags } = token.login
  return { ...health.report(rejection !== undefined, impaired), pinFlags, breaker: recovery.breaker.report() }
}
