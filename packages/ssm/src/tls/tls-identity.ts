import type { X509Certificate } from 'node:crypto'
import { type FSWatcher, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import { type Server as TlsServer, TLSSocket } from 'node:tls'
import type { Socket } from 'node:net'
import { type Certificates, readCertificates, type TlsFiles } from './certificate-files.js'
import { isBelieved } from './trust.js'

/** How long, in milliseconds, after a change the files are read: certificate and key are written one after the other. */
const SETTLE_MS = 100
/** How long, in milliseconds, a connection may take to be made: longer than one that is being made may still have the old roots. */
export const HANDSHAKE_MS = 10_000

/** Where a change is told, a line at a time. */
type Log = (line: string) => void

/**
 * The certificates that the service shows and believes. When their files change they are read anew, and used by connections that are opened
 * from then on; those that are open go on. Files that do not fit together change nothing.
 */
export class TlsIdentity {
  readonly #files: TlsFiles
  readonly #log: Log
  readonly #now: () => number
  readonly #servers = new Set<TlsServer>()
  readonly #watchers: FSWatcher[] = []
  /** the roots by which each connection's certificate was believed */
  readonly #trust = new WeakMap<TLSSocket, string>()
  /** whose signature a certificate has, which Node tells only now; who is further from it has to connect again when the roots change */
  readonly #issuers = new WeakMap<TLSSocket, X509Certificate>()
  #trustSince = Number.NEGATIVE_INFINITY
  #current: Certificates
  #settling: NodeJS.Timeout | undefined

  /**
   * @param now milliseconds of a clock that never goes back
   * @throws ConfigError where the files cannot be used
   */
  constructor(files: TlsFiles, log: Log, now: () => number = () => performance.now()) {
    this.#files = files
    this.#log = log
    this.#now = now
    this.#current = readCertificates(files)
    this.#tellEnd()
  }

  get current(): Certificates {
    return this.#current
  }

  /** Clients must present a certificate. */
  get mutual(): boolean {
    return this.#files.caFile !== undefined
  }

  /** From now on a server's new connections have whatever is current. */
  attach(server: TlsServer): void {
    this.#servers.add(server)
    server.on('secureConnection', (socket) => {
      // one that was being made while the roots changed may have either, so it counts as old
      const isSure = this.#now() - this.#trustSince > HANDSHAKE_MS
      this.#trust.set(socket, isSure ? this.#current.trust : '')
      const issuer = this.mutual ? socket.getPeerX509Certificate()?.issuerCertificate : undefined
      if (issuer !== undefined) this.#issuers.set(socket, issuer)
    })
  }

  /** Whether a connection's certificate was believed by roots that may not be believed any more. */
  isOutdated(socket: Socket): socket is TLSSocket {
    return this.mutual && socket instanceof TLSSocket && this.#trust.get(socket) !== this.#current.trust
  }

  /** Whether the certificate of a connection is believed now, by the roots there are. */
  believes(socket: Socket): boolean {
    if (!this.isOutdated(socket)) return true
    const certificate = socket.getPeerX509Certificate()
    const between = this.#issuers.get(socket)
    return (
      certificate !== undefined && isBelieved(certificate, between === undefined ? [] : [between], this.#current.roots)
    )
  }

  /** Reads the files anew, and says what came of it. */
  reload(): void {
    try {
      const next = readCertificates(this.#files)
      if (next.digest === this.#current.digest) {
        this.#log('ssm: the certificates are the same as before')
        return
      }
      // a context of its own has ticket keys of its own, so that no session of before is resumed past the new roots
      for (const server of this.#servers) server.setSecureContext(next.options)
      if (next.trust !== this.#current.trust) this.#trustSince = this.#now()
      this.#current = next
    } catch (error) {
      this.#log(
        `ssm: the certificates are kept as they were: ${error instanceof Error ? error.message : String(error)}`,
      )
      return
    }
    this.#log('ssm: new certificates are used from now on; open connections go on')
    this.#tellEnd()
  }

  /** Reloads whenever one of the files is written, renamed into place, or reached by another link. */
  watch(): void {
    const { certFile, keyFile, caFile } = this.#files
    const paths = [certFile, keyFile, ...(caFile === undefined ? [] : [caFile])]
    // the folders, because a file that is renamed into place is another file
    for (const folder of new Set(paths.map((path) => dirname(path)))) {
      const names = new Set(paths.filter((path) => dirname(path) === folder).map((path) => basename(path)))
      try {
        const watcher = watch(folder, { persistent: false }, (_event, name) => {
          // Kubernetes has the names be links through `..data`, and changes only that one
          if (name === null || names.has(name) || name === '..data') this.#settle()
        })
        watcher.on('error', (error) => this.#tellUnwatched(folder, error))
        this.#watchers.push(watcher)
      } catch (error) {
        this.#tellUnwatched(folder, error)
      }
    }
  }

  close(): void {
    clearTimeout(this.#settling)
    for (const watcher of this.#watchers) watcher.close()
  }

  #settle(): void {
    clearTimeout(this.#settling)
    this.#settling = setTimeout(() => this.reload(), SETTLE_MS).unref()
  }

  #tellUnwatched(folder: string, error: unknown): void {
    const why = error instanceof Error ? error.message : String(error)
    this.#log(`ssm: ${folder} cannot be watched (${why}): send SIGHUP after changing a certificate`)
  }

  #tellEnd(): void {
    const { validTo } = this.#current
    if (validTo.getTime() <= Date.now())
      this.#log(
        `ssm: the certificate in ${this.#files.certFile} ended on ${validTo.toISOString()}: clients will refuse it`,
      )
  }
}
