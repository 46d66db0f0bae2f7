import type { ClientOptions } from 'pkcs11-pool'

/** Bounds so short that thousands of cells take minutes, and long enough for a token in software on a busy machine. */
export const POOL = {
  maxSize: 3,
  minSize: 1,
  growAfterMs: 0,
  acquireTimeoutMs: 300,
  createTimeoutMs: 150,
  validateTimeoutMs: 60,
  validateIfIdleMs: 0,
  operationTimeoutMs: 120,
} as const satisfies ClientOptions['pool']

export const OPTIONS = {
  pool: POOL,
  breaker: { failureThreshold: 3, initialBackoffMs: 5, maxBackoffMs: 20 },
  health: { probeIntervalMs: 20, probeTimeoutMs: 150, keepAlive: true },
} as const satisfies Partial<ClientOptions>

/** What the load asks for in `timeoutMs`, where it does. */
export const CALL_MS = 400
export const CLOSE_MS = 300

/** How long after its deadline a promise may settle: no part of the promise, but room for a machine that does other things. */
export const SLACK_MS = 5_000

/**
 * By when a call that names no time has to settle: a wait for a session, for the login or recovery before it, and its own calls, each
 * bounded, and each made again twice at most.
 */
export const UNNAMED_MS = 3 * (POOL.acquireTimeoutMs + 4 * POOL.createTimeoutMs + 3 * POOL.operationTimeoutMs)

/** By when createClient has to settle: loading, reading the PIN, looking for the token, opening, logging in, asking, giving up. */
export const CONNECT_MS = 10 * POOL.createTimeoutMs
