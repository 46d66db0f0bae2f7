import type { ConnectionLimits } from '../listen/http-server.js'
import type { RateLimitOptions } from '../plugins/rate-limit.js'
import { ConfigError } from './config-error.js'
import type { Layers } from './layers.js'

/** What requests may take. */
export interface RequestLimits extends ConnectionLimits {
  /** bytes of a request's body. @defaultValue 1,048,576 */
  bodyLimitBytes: number
  /** requests under way at once; more are answered 503. @defaultValue 10,000 */
  maxRequestsWaiting: number
}

/** The limits, and whose browsers may come in. */
export interface RequestConfig {
  limits: RequestLimits
  /** undefined for none. @defaultValue 300,000 a minute, 50,000 at once */
  rateLimit: RateLimitOptions | undefined
  /** origins whose pages may use the service from a browser. @defaultValue none */
  corsOrigins: readonly string[]
}

export const DEFAULT_LIMITS: Readonly<RequestLimits> = Object.freeze({
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  bodyLimitBytes: 1024 * 1024,
  // as many as wait for a session at most
  maxRequestsWaiting: 10_000,
})

/** A rotation of keys has a client send thousands of requests at once, and then as many as are answered. */
export const DEFAULT_RATE: Readonly<RateLimitOptions> = Object.freeze({ requestsPerMin: 300_000, burstSize: 50_000 })

const TIMEOUT_LIMIT_MS = 3_600_000
const BODY_LIMIT_BYTES = 64 * 1024 * 1024
const COUNT_LIMIT = 1_000_000_000

/** @throws ConfigError on what is malformed or contradictory */
export function readRequestConfig(layers: Layers): RequestConfig {
  const limits = {
    headersTimeoutMs: layers.integer('headersTimeoutMs', 100, TIMEOUT_LIMIT_MS) ?? DEFAULT_LIMITS.headersTimeoutMs,
    requestTimeoutMs: layers.integer('requestTimeoutMs', 100, TIMEOUT_LIMIT_MS) ?? DEFAULT_LIMITS.requestTimeoutMs,
    bodyLimitBytes: layers.integer('bodyLimitBytes', 1024, BODY_LIMIT_BYTES) ?? DEFAULT_LIMITS.bodyLimitBytes,
    maxRequestsWaiting: layers.integer('maxRequestsWaiting', 1, COUNT_LIMIT) ?? DEFAULT_LIMITS.maxRequestsWaiting,
  }
  layers.attempt(() => requireOrder(layers, limits), undefined)
  return {
    limits,
    rateLimit: readRateLimit(layers),
    corsOrigins: layers.attempt(() => readOrigins(layers), []),
  }
}

function requireOrder(layers: Layers, { headersTimeoutMs, requestTimeoutMs }: RequestLimits): void {
  if (headersTimeoutMs <= requestTimeoutMs) return
  throw new ConfigError(
    layers.text('headersTimeoutMs')?.source ?? 'headersTimeoutMs',
    String(headersTimeoutMs),
    `at most requestTimeoutMs, which is ${requestTimeoutMs}`,
  )
}

function readRateLimit(layers: Layers): RateLimitOptions | undefined {
  if (layers.choice('rateLimit.enabled', { true: true, false: false }) === false) return undefined
  return {
    requestsPerMin: layers.integer('rateLimit.requestsPerMin', 1, COUNT_LIMIT) ?? DEFAULT_RATE.requestsPerMin,
    burstSize: layers.integer('rateLimit.burstSize', 1, COUNT_LIMIT) ?? DEFAULT_RATE.burstSize,
  }
}

function readOrigins(layers: Layers): readonly string[] {
  if (layers.choice('cors.enabled', { true: true, false: false }) === false) return []
  if (layers.choice('cors.allowAllOrigins', { true: true, false: false }) === true) {
    throw new ConfigError(
      layers.text('cors.allowAllOrigins')?.source ?? '',
      'true',
      'false, and each origin in cors.allowOrigins: any page that a user opens could try passwords here',
    )
  }
  const given = layers.list('cors.allowOrigins')
  if (given === undefined) return []
  for (const origin of given.values) {
    if (isOrigin(origin)) continue
    throw new ConfigError(
      given.source,
      JSON.stringify(origin),
      'origins as browsers send them, scheme, host and port alone, such as https://console.example; no pattern and no path',
    )
  }
  return given.values
}

function isOrigin(text: string): boolean {
  if (text.includes('*') || !/^https?:\/\//.test(text)) return false
  return URL.canParse(text) && new URL(text).origin === text
}
