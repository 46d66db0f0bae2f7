import { type FSWatcher, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import { type Server as TlsServer, TLSSocket } from 'node:tls'
import type { Socket } from 'node:net'
import { type Certificates, readCertificates, type TlsFiles } from './certificate-files.js'

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
  readonly #servers = new Set<TlsServer>()
  readonly #watchers: FSWatcher[] = []
  /** the roots by which each connection's certificate was believed */
  readonly #trust = new WeakMap<TLSSocket, string>()
  #trustSince = Number.NEGATIVE_INFINITY
  #current: Certificates
  #settling: NodeJS.Timeout | undefined

  /** @throws ConfigError where the files cannot be used */
  constructor(files: TlsFiles, log: Log) {
    this.#files = files
    this.#log = log
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
      const isSure = performance.now() - this.#trustSince > HANDSHAKE_MS
      this.#trust.set(socket, isSure ? this.#current.trust : '')
    })
  }

  /** Whether a connection's certificate was believed by roots that may not be believed any more. */
  isOutdated(socket: Socket): boolean {
    return this.mutual && socket instanceof TLSSocket && this.#trust.get(socket) !== this.#current.trust
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
      if (next.trust !== this.#current.trust) this.#trustSince = performance.now()
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
