import type { ClientStats } from './client.js'
import type { Health } from './client-health.js'
import type { Metric } from './metrics/exposition.js'
import type { TokenSelector } from './pkcs11/token-info.js'

const UP: ReadonlySet<string> = new Set(['ok', 'degraded'])

/** The client's figures. */
export function clientMetrics(stats: ClientStats, { state, breaker }: Health): Metric[] {
  const gauge = (name: string, help: string, value: number): Metric => ({
    name: `pkcs11_pool_${name}`,
    type: 'gauge',
    help,
    value,
  })
  const counter = (name: string, help: string, value: number): Metric => ({
    name: `pkcs11_pool_${name}_total`,
    type: 'counter',
    help,
    value,
  })
  const { max, elsewhere } = stats.tokenSessions
  const told = (name: string, help: string, value: number | undefined): Metric[] =>
    value === undefined || value === Number.POSITIVE_INFINITY ? [] : [gauge(name, help, value)]
  return [
    gauge('max_size', 'Most sessions the pool may have.', stats.maxSize),
    gauge('min_size', 'Sessions the pool keeps ready.', stats.minSize),
    gauge('effective_max_size', 'Most sessions the token gives at present.', stats.effectiveMaxSize),
    ...told('token_sessions_max', 'Sessions the token lets this process have, where it has a limit.', max),
    ...told('token_sessions_elsewhere', 'Sessions of the token that are not of this client.', elsewhere),
    gauge('current_size', 'Sessions in the pool.', stats.currentSize),
    gauge('available', 'Idle sessions.', stats.available),
    gauge('in_use', 'Sessions in use.', stats.inUse),
    gauge('waiting', 'Callers waiting for a session.', stats.waiting),
    gauge('threads', 'Threads of the engine, those in hanging calls included.', stats.engine.threads),
    gauge('hung_calls', 'Calls that passed their deadline inside the module and have not returned.', stats.engine.hung),
    gauge('cached_handles', 'Key handles in the cache.', stats.keys.cached),
    counter('sessions_created', 'Sessions opened.', stats.created),
    counter('sessions_destroyed', 'Sessions closed.', stats.destroyed),
    counter('acquired', 'Sessions handed out.', stats.acquired),
    counter('acquire_timeouts', 'Acquires given up after their timeout.', stats.acquireTimeouts),
    counter('create_failures', 'Sessions that could not be opened.', stats.createFailures),
    counter('leaks', 'Sessions held longer than leakThresholdMs.', stats.leaked),
    counter('calls', 'Jobs the engine has finished.', stats.engine.completed),
    counter('abandoned_calls', 'Calls that passed their deadline inside the module.', stats.engine.abandoned),
    gauge(
      'up',
      'Whether the last call or probe was answered and the PIN is accepted: 1, else 0.',
      UP.has(state) ? 1 : 0,
    ),
    gauge(
      'breaker_open',
      'Whether calls are refused because the token failed: 1, else 0.',
      breaker.state === 'closed' ? 0 : 1,
    ),
    counter('breaker_opened', 'How often the breaker opened.', stats.breakerOpened),
    counter('retries', 'Calls made again after a failure of the token.', stats.retries.made),
    counter('retries_refused', 'Calls not made again because too many were.', stats.retries.refused),
    counter('module_initializations', 'How often the module was initialised again.', stats.moduleInitializations),
    counter('generations', 'Generations of sessions and handles begun.', stats.generation),
    counter('logins', 'Logins that succeeded.', stats.logins),
    counter('handle_cache_hits', 'Key handles answered from the cache.', stats.keys.hits),
    counter('handle_cache_misses', 'Key handles looked up on the token.', stats.keys.misses),
  ]
}

/** The token's label for figures, as it was asked for. */
export function describeSelector(token: TokenSelector): string {
  if ('label' in token) return token.label
  return 'serial' in token ? token.serial : `slot ${token.slot}`
}
