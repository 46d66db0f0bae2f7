import { parseStreamTarget, type StreamTarget } from '../audit/stream-target.js'
import { ConfigError } from './config-error.js'
import { readDatabase } from './database.js'
import { checkModuleFile, checkPinFile } from './files.js'
import type { Layers } from './layers.js'
import { type ListeningConfig, readListening } from './listening.js'
import { DEFAULT_LIMITS, DEFAULT_RATE, type RequestConfig, readRequestConfig } from './request-limits.js'
import { readSources, type Sources } from './sources.js'

/** Which token to use. */
export type TokenSelector = { label: string } | { serial: string } | { slot: number }

/** Where the PIN comes from. The library reads a file or the environment natively; a value was written into a file of settings. */
export type PinSource = { file: string } | { env: string } | { value: string }

/** What the service is told. */
export interface SsmConfig extends ListeningConfig, RequestConfig {
  /** the data folder, made by `ssm init`; undefined where there is none, and then nobody can log in. @defaultValue none */
  data: string | undefined
  /** URL of the PostgreSQL database with accounts and audit. @defaultValue SQLite in the data folder */
  database: string | undefined
  /** at SIGTERM, milliseconds to serve on while `/readyz` already says no, so that a balancer sees it. @defaultValue 2_000 */
  drainDelayMs: number
  /** milliseconds that requests under way may take to end when the service stops. @defaultValue 10_000 */
  drainTimeoutMs: number
  /** path of the PKCS#11 library */
  pkcsPath: string
  token: TokenSelector
  pin: PinSource
  /** `/docs` is a page on which to read and try the routes. @defaultValue true */
  exposeSwaggerUi: boolean
  /** sessions to open at most. @defaultValue 10 */
  maxSessions: number
  /** sessions to keep open. @defaultValue 2, 0 with `connect: 'lazy'`, never more than `maxSessions` */
  minSessions: number
  /** allow encrypting with DES and DES3, and decrypting without padding. @defaultValue false */
  legacyAlgorithms: boolean
  /** open the token at start, or when first used. @defaultValue `eager` */
  connect: 'eager' | 'lazy'
  /** what is refused while the audit cannot be written. @defaultValue `changes` */
  auditFailClosed: 'changes' | 'all'
  /** where a copy of the audit goes, for a SIEM. @defaultValue nowhere */
  auditStream: StreamTarget | undefined
  /** the name of the audit chain that this process writes. @defaultValue `main` */
  instance: string
  /** false looks every key up again in each request. @defaultValue true */
  keyCache: boolean
}

/** The settings that need not be given. */
export type SsmDefaults = Omit<SsmConfig, 'pkcsPath' | 'token' | 'pin'>

export const DEFAULTS: Readonly<Omit<SsmDefaults, 'minSessions'>> = Object.freeze({
  data: undefined,
  database: undefined,
  drainDelayMs: 2_000,
  drainTimeoutMs: 10_000,
  bindAddr: '127.0.0.1:8080',
  tls: undefined,
  certificateAccounts: Object.freeze({}),
  sendSecretsUnencrypted: false,
  limits: DEFAULT_LIMITS,
  rateLimit: DEFAULT_RATE,
  corsOrigins: Object.freeze([]),
  exposeSwaggerUi: true,
  maxSessions: 10,
  legacyAlgorithms: false,
  connect: 'eager',
  keyCache: true,
  auditFailClosed: 'changes',
  auditStream: undefined,
  instance: 'main',
})

const MIN_SESSIONS = 2
const SESSIONS_LIMIT = 4096
const DRAIN_LIMIT_MS = 600_000
const SLOT_LIMIT = Number.MAX_SAFE_INTEGER

/**
 * Reads the configuration: the defaults, over them the settings in the data folder, the file of settings, the environment (`SSM_*`) and
 * the flags.
 *
 * @param env only names that begin with `SSM_` are looked at, and `SSM_PIN` only for being there: its value is never read
 * @param flags as given on the command line, without the leading `--`
 * @param notice hears what of a file of settings has no effect
 * @throws ConfigError on an unknown, missing, malformed or contradictory setting, a world-readable PIN file, and plain HTTP on
 * an address that other machines reach
 */
export function loadConfig(
  env: Readonly<Record<string, string | undefined>>,
  flags: ReadonlyMap<string, string>,
  notice: (line: string) => void = () => {},
): SsmConfig {
  return configOf(readSources(env, flags, notice), notice)
}

/**
 * The configuration that was given. With layers that let errors pass it says all that is wrong, and what it gives means nothing.
 *
 * @param notice hears what of it has no effect
 * @throws ConfigError
 */
export function configOf({ layers, data }: Sources, notice: (line: string) => void = () => {}): SsmConfig {
  const maxSessions = layers.integer('maxSessions', 1, SESSIONS_LIMIT) ?? DEFAULTS.maxSessions
  const minSessions = layers.integer('minSessions', 0, SESSIONS_LIMIT)
  layers.attempt(() => requireOrder(layers, minSessions, maxSessions), undefined)

  const connect = layers.choice('connect', { eager: 'eager', lazy: 'lazy' } as const) ?? DEFAULTS.connect
  return {
    data,
    database: layers.attempt(() => readDatabase(layers), DEFAULTS.database),
    drainDelayMs: layers.integer('drainDelayMs', 0, DRAIN_LIMIT_MS) ?? DEFAULTS.drainDelayMs,
    drainTimeoutMs: layers.integer('drainTimeoutMs', 0, DRAIN_LIMIT_MS) ?? DEFAULTS.drainTimeoutMs,
    ...readTokenAccess(layers),
    ...readListening(layers, DEFAULTS, notice),
    ...readRequestConfig(layers),
    exposeSwaggerUi: layers.choice('exposeSwaggerUi', { true: true, false: false }) ?? DEFAULTS.exposeSwaggerUi,
    maxSessions,
    minSessions: minSessions ?? defaultMinSessions(maxSessions, connect),
    legacyAlgorithms: layers.choice('legacyAlgorithms', { true: true, false: false }) ?? DEFAULTS.legacyAlgorithms,
    connect,
    keyCache: layers.choice('keyCache', { on: true, off: false }) ?? DEFAULTS.keyCache,
    auditFailClosed:
      layers.choice('auditFailClosed', { changes: 'changes', all: 'all' } as const) ?? DEFAULTS.auditFailClosed,
    auditStream: layers.attempt(() => readAuditStream(layers), DEFAULTS.auditStream),
    instance: layers.attempt(() => readInstance(layers), DEFAULTS.instance),
  }
}

/** What it takes to open the token. */
export type TokenAccess = Pick<SsmConfig, 'pkcsPath' | 'token' | 'pin'>

/** @throws ConfigError on what is missing or malformed */
export function readTokenAccess(layers: Layers): TokenAccess {
  return {
    pkcsPath: layers.attempt(() => readModule(layers), ''),
    token: layers.attempt(() => readToken(layers), { label: '' }),
    pin: layers.attempt(() => readPin(layers), { value: '' }),
  }
}

function readModule(layers: Layers): string {
  const pkcsPath = layers.text('pkcsPath')
  if (pkcsPath === undefined) {
    throw layers.missing(
      'pkcsPath',
      "the path of the token's PKCS#11 library, such as /usr/lib/softhsm/libsofthsm2.so; set it, give --pkcs-path, or give --data " +
        'with a folder that ssm init made',
    )
  }
  checkModuleFile(pkcsPath.value, pkcsPath.source)
  return pkcsPath.value
}

function requireOrder(layers: Layers, minSessions: number | undefined, maxSessions: number): void {
  if (minSessions === undefined || minSessions <= maxSessions) return
  const most = layers.text('maxSessions')?.source ?? 'SSM_MAX_SESSIONS'
  const source = layers.text('minSessions')?.source ?? 'SSM_MIN_SESSIONS'
  throw new ConfigError(source, String(minSessions), `at most ${most}, which is ${maxSessions}`)
}

/** How many sessions are kept open unless it is said: a service that connects lazily holds none ready. */
export function defaultMinSessions(maxSessions: number, connect: SsmConfig['connect']): number {
  return connect === 'lazy' ? 0 : Math.min(MIN_SESSIONS, maxSessions)
}

function readAuditStream(layers: Layers): StreamTarget | undefined {
  const given = layers.text('auditStream')
  return given === undefined ? undefined : parseStreamTarget(given.value, given.source)
}

export function readInstance(layers: Layers): string {
  const given = layers.text('instance')
  if (given === undefined) return DEFAULTS.instance
  if (/^[\w.-]{1,64}$/.test(given.value)) return given.value
  throw new ConfigError(
    given.source,
    JSON.stringify(given.value),
    '1 to 64 letters, digits, dots, dashes or underscores',
  )
}

function readToken(layers: Layers): TokenSelector {
  const selector = layers.oneOf(['tokenLabel', 'tokenSerial', 'lotsNumber'])
  switch (selector) {
    case 'tokenLabel':
      return { label: layers.text('tokenLabel')?.value ?? '' }
    case 'tokenSerial':
      return { serial: layers.text('tokenSerial')?.value ?? '' }
    case 'lotsNumber':
      return { slot: layers.integer('lotsNumber', 0, SLOT_LIMIT) ?? 0 }
    case undefined:
      throw layers.missing(
        'tokenLabel',
        'the label of the token; set it, or SSM_TOKEN_SERIAL, or SSM_LOTS_NUMBER (the slot)',
      )
  }
}

function readPin(layers: Layers): PinSource {
  const source = layers.oneOf(['pinFile', 'pin'])
  switch (source) {
    case 'pinFile': {
      const file = layers.text('pinFile')
      checkPinFile(file?.value ?? '', file?.source ?? '')
      return { file: file?.value ?? '' }
    }
    case 'pin': {
      const { source, value } = layers.text('pin') ?? { source: '', value: '' }
      return source === 'SSM_PIN' ? { env: 'SSM_PIN' } : { value }
    }
    case undefined:
      throw layers.missing('pinFile', 'the path of a file with the PIN, readable by this user only; set it, or SSM_PIN')
  }
}
