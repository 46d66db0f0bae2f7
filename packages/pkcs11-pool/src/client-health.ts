import type { ClientCore } from './client-core.js'
import type { BreakerReport } from './resilience/breaker.js'
import type { HealthReport } from './resilience/health-record.js'

/** How a token is, and whether calls are sent to it. */
export interface Health extends HealthReport {
  breaker: BreakerReport
}

/** What calls and probes have told about a client's token. */
export function clientHealth({ health, pool, recovery, token }: ClientCore): Health {
  const { effectiveMaxSize, maxSize } = pool.stats()
  const impaired = effectiveMaxSize < maxSize || token.engine.stats().hung > 0
  return { ...health.report(token.login.rejection !== undefined, impaired), breaker: recovery.breaker.report() }
}
