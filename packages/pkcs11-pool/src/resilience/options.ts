import { checkNames, invalidOption, resolveCount, resolveDelay } from '../pkcs11/option-values.js'
import type { BreakerOptions, ResolvedBreakerOptions } from './breaker.js'

export type { BreakerOptions } from './breaker.js'

/** How the token is looked at when no calls show how it is. */
export interface HealthOptions {
  /** Milliseconds that the look at one session may take. @defaultValue 2_000 */
  probeTimeoutMs?: number | undefined
}

/** {@link HealthOptions} with every default filled in. */
export interface ResolvedHealthOptions {
  readonly probeTimeoutMs: number
}

/** What the client's options say of how it meets a token that fails. */
export interface ResilienceOptions {
  /** When the token is left alone after failures, and for how long. */
  breaker?: BreakerOptions | undefined
  /** How the token is looked at when no calls show how it is. */
  health?: HealthOptions | undefined
}

/** {@link ResilienceOptions} with every default filled in. */
export interface ResolvedResilience {
  readonly breaker: ResolvedBreakerOptions
  readonly health: ResolvedHealthOptions
}

const DEFAULT_BREAKER_OPTIONS: ResolvedBreakerOptions = Object.freeze({
  failureThreshold: 5,
  initialBackoffMs: 500,
  maxBackoffMs: 10_000,
})

const DEFAULT_HEALTH_OPTIONS: ResolvedHealthOptions = Object.freeze({ probeTimeoutMs: 2_000 })

/** @throws INVALID_OPTION naming the option, what was got and what is expected */
export function resolveResilience(options: ResilienceOptions): ResolvedResilience {
  return { breaker: resolveBreaker(options.breaker ?? {}), health: resolveHealth(options.health ?? {}) }
}

function resolveBreaker(given: BreakerOptions): ResolvedBreakerOptions {
  const defaults = DEFAULT_BREAKER_OPTIONS
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
  const defaults = DEFAULT_HEALTH_OPTIONS
  checkNames('health', given, Object.keys(defaults))
  return Object.freeze({
    probeTimeoutMs: resolveDelay('health.probeTimeoutMs', given.probeTimeoutMs, defaults.probeTimeoutMs, 1),
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
