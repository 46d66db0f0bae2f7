import { checkNames, invalidOption, resolveCount, resolveDelay } from '../pkcs11/option-values.js'
import type { BreakerOptions, ResolvedBreakerOptions } from './breaker.js'
import type { ResolvedRetryOptions, RetryOptions } from './retries.js'

export type { BreakerOptions } from './breaker.js'

/** How the token is looked at when no calls show how it is. */
export interface HealthOptions {
  /**
   * How often the token is looked at while no call succeeds that would show how it is: with C_GetSessionInfo on the session that holds
   * the login, and on sessions that are idle; and for a few random bytes, where the token gives some. Infinity: never. @defaultValue 10_000
   */
  probeIntervalMs?: number | undefined
  /** Milliseconds that each call of such a look may take. @defaultValue 2_000 */
  probeTimeoutMs?: number | undefined
  /**
   * For tokens that end sessions which are not used: each session that was not used for an interval is looked at, also while others
   * are in use, so that none is left alone for longer than two. @defaultValue false
   */
  keepAlive?: boolean | undefined
}

/** {@link HealthOptions} with every default filled in. */
export interface ResolvedHealthOptions {
  readonly probeIntervalMs: number
  readonly probeTimeoutMs: number
  readonly keepAlive: boolean
}

/** What the client's options say of how it meets a token that fails. */
export interface ResilienceOptions {
  /** When the token is left alone after failures, and for how long. */
  breaker?: BreakerOptions | undefined
  /** How the token is looked at when no calls show how it is. */
  health?: HealthOptions | undefined
  /** How calls that change nothing are made again after failures of the token. */
  retry?: RetryOptions | undefined
}

/** {@link ResilienceOptions} with every default filled in. */
export interface ResolvedResilience {
  readonly breaker: ResolvedBreakerOptions
  readonly health: ResolvedHealthOptions
  readonly retry: ResolvedRetryOptions
}

/** The defaults of {@link ResilienceOptions}. */
export const DEFAULT_RESILIENCE: ResolvedResilience = Object.freeze({
  breaker: Object.freeze({ failureThreshold: 5, initialBackoffMs: 500, maxBackoffMs: 10_000 }),
  health: Object.freeze({ probeIntervalMs: 10_000, probeTimeoutMs: 2_000, keepAlive: false }),
  retry: Object.freeze({ maxAttempts: 3, initialBackoffMs: 20, maxBackoffMs: 500, budget: 0.1 }),
})

/** @throws INVALID_OPTION naming the option, what was got and what is expected */
export function resolveResilience({ breaker = {}, health = {}, retry = {} }: ResilienceOptions): ResolvedResilience {
  return { breaker: resolveBreaker(breaker), health: resolveHealth(health), retry: resolveRetry(retry) }
}

function resolveBreaker(given: BreakerOptions): ResolvedBreakerOptions {
  const defaults = DEFAULT_RESILIENCE.breaker
  checkNames('breaker', given, Object.keys(defaults))
  const backoffs = resolveBackoffs('breaker', given, defaults)
  return Object.freeze({
    failureThreshold: resolveCount(
      'breaker.failureThreshold',
      given.failureThreshold,
      defaults.failureThreshold,
      1_000_000,
    ),
    ...backoffs,
  })
}

function resolveHealth(given: HealthOptions): ResolvedHealthOptions {
  const defaults = DEFAULT_RESILIENCE.health
  checkNames('health', given, Object.keys(defaults))
  const { probeIntervalMs, keepAlive } = given
  if (keepAlive !== undefined && typeof keepAlive !== 'boolean') {
    throw invalidOption('health.keepAlive', keepAlive, 'true or false')
  }
  return Object.freeze({
    probeIntervalMs:
      probeIntervalMs === Number.POSITIVE_INFINITY
        ? probeIntervalMs
        : resolveDelay('health.probeIntervalMs', probeIntervalMs, defaults.probeIntervalMs, 1),
    keepAlive: keepAlive ?? defaults.keepAlive,
    probeTimeoutMs: resolveDelay('health.probeTimeoutMs', given.probeTimeoutMs, defaults.probeTimeoutMs, 1),
  })
}

function resolveRetry(given: RetryOptions): ResolvedRetryOptions {
  const defaults = DEFAULT_RESILIENCE.retry
  checkNames('retry', given, Object.keys(defaults))
  const { maxAttempts, budget } = given
  if (budget !== undefined && !(typeof budget === 'number' && budget >= 0 && budget <= 1)) {
    throw invalidOption('retry.budget', budget, 'a share from 0 to 1')
  }
  return Object.freeze({
    maxAttempts: resolveCount('retry.maxAttempts', maxAttempts, defaults.maxAttempts, 100),
    budget: budget ?? defaults.budget,
    ...resolveBackoffs('retry', given, defaults),
  })
}

/** A default gives way to what is asked for beside it: the first wait is never longer than the longest. */
function resolveBackoffs(
  name: string,
  given: { initialBackoffMs?: number | undefined; maxBackoffMs?: number | undefined },
  defaults: { initialBackoffMs: number; maxBackoffMs: number },
): { initialBackoffMs: number; maxBackoffMs: number } {
  const first = resolveDelay(`${name}.initialBackoffMs`, given.initialBackoffMs, defaults.initialBackoffMs, 1)
  const longest = resolveDelay(`${name}.maxBackoffMs`, given.maxBackoffMs, defaults.maxBackoffMs, 1)
  if (first <= longest) return { initialBackoffMs: first, maxBackoffMs: longest }
  if (given.initialBackoffMs === undefined) return { initialBackoffMs: longest, maxBackoffMs: longest }
  if (given.maxBackoffMs === undefined) return { initialBackoffMs: first, maxBackoffMs: first }
  throw invalidOption(`${name}.initialBackoffMs`, first, `at most ${name}.maxBackoffMs, which is ${longest}`)
}
