import { createClient } from 'pkcs11-pool'
import { buildApp } from './app.js'
import { parseBindAddress } from './config/bind-address.js'
import { DEFAULTS, defaultMinSessions, type SsmConfig, type SsmDefaults } from './config/config.js'
import { FailureLog } from './failure-log.js'

/** Configuration of {@link startServer}: what has a default may be left out. */
export type ServerConfig = Omit<SsmConfig, keyof SsmDefaults> & Partial<SsmDefaults>

/** What {@link startServer} may be told beside its configuration. */
export interface ServerOptions {
  /** where failures are told, a line at a time. @defaultValue standard error */
  log?: (line: string) => void
}

/** A service that listens. */
export interface SsmServer {
  /** such as `http://127.0.0.1:8080` */
  url: string
  /**
   * Stops: not ready from now on, no new connections, requests under way are answered, then the token is closed. Bounded and
   * idempotent.
   */
  close(): Promise<{ abandoned: number }>
}

/** How long, in milliseconds, requests under way may take to end when the service stops, and then the token's sessions. */
const DRAIN_TIMEOUT_MS = 10_000
const CLIENT_CLOSE_TIMEOUT_MS = 5_000

/**
 * Opens the token and listens.
 *
 * @throws ConfigError for an address other than loopback; the library's errors where the token cannot be opened; Node's where the
 * address is taken
 */
export async function startServer(config: ServerConfig, options: ServerOptions = {}): Promise<SsmServer> {
  const { log = writeToStandardError } = options
  const settings = { ...DEFAULTS, ...config }
  const { maxSessions, connect } = settings
  const address = parseBindAddress(settings.bindAddr, 'bindAddr')
  const client = await createClient({
    module: settings.pkcsPath,
    token: settings.token,
    pin: settings.pin,
    pool: { maxSize: maxSessions, minSize: settings.minSessions ?? defaultMinSessions(maxSessions, connect) },
    keys: { cache: settings.keyCache },
    connect,
  })
  const failures = new FailureLog(log)
  const app = buildApp({ client, config: settings, onFailure: (problem) => failures.record(problem) })

  const closeClient = () => client.close({ timeoutMs: CLIENT_CLOSE_TIMEOUT_MS })
  let closing: Promise<{ abandoned: number }> | undefined
  const close = async () => {
    const giveUp = setTimeout(() => app.server.closeAllConnections(), DRAIN_TIMEOUT_MS)
    try {
      await app.close()
    } finally {
      clearTimeout(giveUp)
    }
    return closeClient()
  }

  try {
    return { url: await app.listen(address), close: () => (closing ??= close()) }
  } catch (error) {
    await app.close()
    await closeClient()
    throw error
  }
}

function writeToStandardError(line: string): void {
  process.stderr.write(`${line}\n`)
}
