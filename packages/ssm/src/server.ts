import { setTimeout as delay } from 'node:timers/promises'
import { type Client, createClient } from 'pkcs11-pool'
import { buildApp } from './app.js'
import { AuditLog } from './audit/audit-log.js'
import { AuditStore, type StoredEntry } from './audit/audit-store.js'
import { CliChain, cliChain } from './audit/cli-chain.js'
import { AuditStream } from './audit/audit-stream.js'
import { KeptHeads } from './audit/kept-heads.js'
import { Authentication } from './auth/authentication.js'
import { type BindAddress, isLocal } from './config/bind-address.js'
import { DEFAULTS, defaultMinSessions, type SsmConfig, type SsmDefaults } from './config/config.js'
import { ConfigError } from './config/config-error.js'
import { requireListening } from './config/listening.js'
import { type DataFolder, dataFolder } from './data/data-folder.js'
import { FolderLock } from './data/folder-lock.js'
import { useSoftHsmOf } from './data/soft-hsm.js'
import { FailureLog } from './failure-log.js'
import { tellUnguardedKeys } from './hsm/unguarded-keys.js'
import { BACKLOG } from './listen/http-server.js'
import { protectSocket, removeStaleSocket } from './listen/unix-socket.js'
import { ServiceMetrics } from './metrics/service-metrics.js'
import type { AuditOptions } from './plugins/audit.js'
import { Problem } from './problems/problem.js'
import { bury } from './replicas/membership.js'
import { PostgresReplicas } from './replicas/postgres-replicas.js'
import { ALONE, type Replicas } from './replicas/replicas.js'
import type { App } from './routes/routes.js'
import { openStore, type Store } from './store/store.js'
import { TlsIdentity } from './tls/tls-identity.js'

/** Configuration of {@link startServer}: what has a default may be left out. */
export type ServerConfig = Omit<SsmConfig, keyof SsmDefaults> & Partial<SsmDefaults>

/** What {@link startServer} may be told beside its configuration. */
export interface ServerOptions {
  /** where failures are told, a line at a time. @defaultValue standard error */
  log?: (line: string) => void
  /**
   * `none` lets everybody on this machine do everything, without accounts and without a data folder. For tests and measuring.
   * @defaultValue accounts in the data folder
   */
  authentication?: 'none'
}

/** A service that listens. */
export interface SsmServer {
  /** such as `http://127.0.0.1:8080`, or `unix:/run/ssm/ssm.sock` */
  url: string
  /** reads the certificates anew, as it does by itself when their files change; undefined without TLS */
  reloadCertificates: (() => void) | undefined
  /**
   * Stops: not ready from now on, no new connections, requests under way are answered, then the token is closed. Bounded and
   * idempotent.
   *
   * @param options `gently` goes on serving for `drainDelayMs` between the first of these and the second, so that a balancer sees it
   */
  close(options?: { gently?: boolean }): Promise<{ abandoned: number }>
}

/** How long, in milliseconds, the token's sessions may take to end when the service stops. */
const CLIENT_CLOSE_TIMEOUT_MS = 5_000

/**
 * Opens the store and the token, and listens.
 *
 * @throws ConfigError for plain HTTP on an address that other machines reach, certificates that cannot be used, and without a data folder; the library's errors where the token cannot be opened;
 * DataFolderInUse where another process serves the data folder; StoreError where the store cannot be opened; Node's where the address is taken
 */
export async function startServer(config: ServerConfig, options: ServerOptions = {}): Promise<SsmServer> {
  const { log = writeToStandardError } = options
  const settings = { ...DEFAULTS, ...config }
  const address = requireListening(settings, 'bindAddr')
  const tls = settings.tls === undefined ? undefined : new TlsIdentity(settings.tls, log)
  if (tls === undefined && !isLocal(address)) {
    log(`ssm: plain HTTP on ${settings.bindAddr}: whoever sees the network reads passwords, tokens and keys`)
  }
  const opened: (() => Promise<unknown>)[] = []
  const closeOpened = async () => {
    for (const close of opened.toReversed()) await close()
  }
  try {
    const failures = new FailureLog(log)
    const folder = options.authentication === 'none' ? undefined : requireDataFolder(settings)
    if (folder !== undefined) {
      const lock = FolderLock.take(folder)
      opened.push(async () => lock.release())
    }
    const store = folder && (await openData(folder, settings))
    if (store !== undefined) opened.push(() => store.destroy())
    const replicas = store === undefined ? ALONE : await joinReplicas(store, settings, failures)
    opened.push(() => replicas.close())
    const client = await openClient(settings)
    let abandoned = 0
    opened.push(async () => {
      abandoned = (await client.close({ timeoutMs: CLIENT_CLOSE_TIMEOUT_MS })).abandoned
    })
    const authentication = store === undefined ? 'none' : new Authentication(client, store)
    if (settings.connect === 'eager') {
      if (authentication !== 'none') await authentication.requireSigningKey()
      await tellUnguardedKeys(client, log)
    }
    const audit =
      store && (await openAudit(store, client, new KeptHeads(client, folder.auditHeads), settings, failures))
    opened.push(async () => {
      await audit?.log.close()
      await audit?.cli.close()
      await audit?.stream?.close()
    })
    const onFailure = (problem: Problem) => failures.record(problem)
    const hosts = tls === undefined && 'host' in address && isLocal(address) ? 'loopback' : 'any'
    const metrics = new ServiceMetrics()
    metrics.observeProcess()
    const app = buildApp({ client, authentication, audit, replicas, config: settings, metrics, hosts, tls, onFailure })
    opened.push(() => drain(app, settings.drainTimeoutMs))
    const url = await listen(app, address, tls)
    tls?.watch()
    opened.push(async () => tls?.close())
    let closing: Promise<{ abandoned: number }> | undefined
    const stop = async (gently: boolean) => {
      app.retire()
      if (gently) await delay(settings.drainDelayMs)
      await closeOpened()
      return { abandoned }
    }
    const reloadCertificates = tls === undefined ? undefined : () => tls.reload()
    return { url, reloadCertificates, close: ({ gently = false } = {}) => (closing ??= stop(gently)) }
  } catch (error) {
    await closeOpened()
    throw error
  }
}

/** Listens, and gives the URL. */
async function listen(app: App, address: BindAddress, tls: TlsIdentity | undefined): Promise<string> {
  if ('path' in address) {
    await removeStaleSocket(address.path)
    await app.listen({ ...address, backlog: BACKLOG })
    protectSocket(address.path)
    return `unix:${address.path}`
  }
  const url = await app.listen({ ...address, backlog: BACKLOG })
  return tls === undefined ? url : url.replace(/^http:/, 'https:')
}

/** @throws ConfigError without a data folder */
function requireDataFolder({ data }: Pick<SsmConfig, 'data'>): DataFolder {
  if (data !== undefined) return dataFolder(data)
  throw new ConfigError(
    'SSM_DATA',
    'nothing',
    'the data folder with accounts and audit; make it with ssm init --data DIR, then set it or give --data',
  )
}

function openData(folder: DataFolder, { database }: Pick<SsmConfig, 'database'>): Promise<Store> {
  useSoftHsmOf(folder)
  return openStore(database ?? folder.store, 'refuse')
}

/** On a database that others may use too, this process has to know what they do. */
async function joinReplicas(
  store: Store,
  { database, instance }: Pick<SsmConfig, 'database' | 'instance'>,
  failures: FailureLog,
): Promise<Replicas> {
  if (database === undefined) return ALONE
  return PostgresReplicas.join({
    url: database,
    instance,
    bury: (replica) => bury(store, replica),
    onFailure: (cause) => {
      const what = 'this replica does not know at the moment what the others do to keys'
      failures.record(new Problem('DATABASE_UNAVAILABLE', what, { cause }))
    },
  })
}

async function openAudit(
  store: Store,
  client: Client,
  kept: KeptHeads,
  { instance, auditFailClosed, auditStream, connect }: typeof DEFAULTS,
  failures: FailureLog,
): Promise<AuditOptions & { cli: CliChain; stream: AuditStream | undefined }> {
  const onFailure = (cause: unknown) => {
    failures.record(new Problem('AUDIT_UNAVAILABLE', 'the audit could not be written or signed', { cause }))
  }
  const onStreamFailure = (cause: unknown) => {
    failures.record(new Problem('AUDIT_UNAVAILABLE', 'the copy of the audit does not reach its collector', { cause }))
  }
  const isThere = connect === 'eager'
  const audit = new AuditStore(store)
  const forward = (entries: readonly StoredEntry[]) => stream?.forward(entries)
  const cli = new CliChain({ store: audit, client, kept, chain: cliChain(instance), forward, onFailure })
  if (isThere) await cli.requireContinuation()
  const comparedWhen = isThere ? 'opening' : 'signing'
  const stream = auditStream === undefined ? undefined : new AuditStream(auditStream, onStreamFailure)
  const log = await AuditLog.open({ store: audit, client, kept, chain: instance, forward, onFailure, comparedWhen })
  // what the last run, and commands since, left unsigned is signed now
  if (isThere) {
    await log.signHead()
    await cli.sign()
  }
  cli.start()
  return { log, failClosed: auditFailClosed, cli, stream }
}

function openClient(settings: ServerConfig & typeof DEFAULTS): Promise<Client> {
  const { maxSessions, connect, pkcsPath, token, pin, keyCache } = settings
  return createClient({
    module: pkcsPath,
    token,
    pin,
    pool: { maxSize: maxSessions, minSize: settings.minSessions ?? defaultMinSessions(maxSessions, connect) },
    keys: { cache: keyCache },
    connect,
  })
}

/** Ends what is under way, and cuts off what does not end. */
async function drain(app: App, timeoutMs: number): Promise<void> {
  const giveUp = setTimeout(() => app.server.closeAllConnections(), timeoutMs)
  try {
    await app.close()
  } finally {
    clearTimeout(giveUp)
  }
}

function writeToStandardError(line: string): void {
  process.stderr.write(`${line}\n`)
}
