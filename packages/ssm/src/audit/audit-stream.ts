import { createSocket } from 'node:dgram'
import { connect, type Socket } from 'node:net'
import type { StoredEntry } from './audit-store.js'
import type { StreamTarget } from './stream-target.js'
import { jsonLine, syslogMessage } from './syslog.js'

/** Lines that may wait for whoever collects them; what comes on top is counted and left out, for the store has it. */
const MAX_WAITING = 10_000
/** Bytes that may wait in the socket before no more are given to it. */
const MAX_BUFFERED_BYTES = 256 * 1024
const RECONNECT_MS = 1_000

/** Sends messages to a collector. */
interface Sender {
  /** false where nothing can be sent at the moment */
  readonly ready: boolean
  send(text: string): void
  /** sends what it was given, and ends */
  close(): Promise<void>
}

/**
 * A copy of the audit for a SIEM: each entry when it is on the disk. Nothing waits for it, and nothing is lost with it but a copy: a
 * collector that is away is tried again every second, and is told how many entries it missed.
 */
export class AuditStream {
  readonly #target: StreamTarget
  readonly #sender: Sender
  readonly #waiting: StoredEntry[] = []
  #missed = 0

  /** @param onFailure hears why the collector cannot be reached, with each attempt */
  constructor(target: StreamTarget, onFailure: (error: unknown) => void) {
    this.#target = target
    const onReady = () => this.#drain()
    this.#sender = target.protocol === 'udp' ? new Datagrams(target, onFailure) : new Stream(target, onReady, onFailure)
  }

  /** Entries that the collector did not get, since it was last told. */
  get missed(): number {
    return this.#missed
  }

  forward(entries: readonly StoredEntry[]): void {
    const room = MAX_WAITING - this.#waiting.length
    this.#waiting.push(...entries.slice(0, room))
    this.#missed += Math.max(0, entries.length - room)
    this.#drain()
  }

  async close(): Promise<void> {
    this.#drain()
    await this.#sender.close()
  }

  #drain(): void {
    let sent = 0
    for (const entry of this.#waiting) {
      if (!this.#sender.ready) break
      this.#sender.send(this.#format(entry))
      sent++
    }
    this.#waiting.splice(0, sent)
    if (this.#missed === 0 || this.#waiting.length > 0 || !this.#sender.ready) return
    this.#sender.send(
      this.#format({ seq: 0, hash: '', entry: JSON.stringify({ action: 'MISSED', count: this.#missed }) }),
    )
    this.#missed = 0
  }

  #format(entry: StoredEntry): string {
    const { format, protocol } = this.#target
    if (format === 'jsonl') return jsonLine(entry)
    const message = syslogMessage(entry)
    // octet counting (RFC 6587, section 3.4.1), for a stream has no ends of messages; a datagram has (RFC 5426)
    return protocol === 'udp' ? message : `${Buffer.byteLength(message)} ${message}`
  }
}

/** TCP or a Unix socket, connected again whenever it breaks. What was in a socket that broke may be lost. */
class Stream implements Sender {
  readonly #target: StreamTarget
  readonly #onReady: () => void
  readonly #onFailure: (error: unknown) => void
  #socket: Socket | undefined
  #timer: NodeJS.Timeout | undefined
  #connected = false
  #closed = false

  constructor(target: StreamTarget, onReady: () => void, onFailure: (error: unknown) => void) {
    this.#target = target
    this.#onReady = onReady
    this.#onFailure = onFailure
    this.#connect()
  }

  get ready(): boolean {
    return this.#connected && (this.#socket?.writableLength ?? 0) < MAX_BUFFERED_BYTES
  }

  send(text: string): void {
    this.#socket?.write(text)
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    const socket = this.#socket
    if (socket === undefined || !this.#connected) {
      socket?.destroy()
      return
    }
    await new Promise<void>((resolve) => {
      // who does not take it now has to do without
      const timer = setTimeout(() => socket.destroy(), RECONNECT_MS)
      socket.once('close', () => {
        clearTimeout(timer)
        resolve()
      })
      socket.end(() => socket.destroy())
    })
  }

  #connect(): void {
    const { path, host, port } = this.#target
    const socket = path === undefined ? connect({ host, port, keepAlive: true }) : connect(path)
    this.#socket = socket
    // the service does not stay for it
    socket.unref()
    // what a collector says does not matter
    socket.resume()
    socket.on('connect', () => {
      this.#connected = true
      this.#onReady()
    })
    socket.on('drain', () => this.#onReady())
    socket.on('error', (error) => this.#onFailure(error))
    socket.on('close', () => {
      this.#connected = false
      if (this.#closed) return
      this.#timer = setTimeout(() => this.#connect(), RECONNECT_MS)
      this.#timer.unref()
    })
  }
}

class Datagrams implements Sender {
  readonly #target: StreamTarget
  readonly #onFailure: (error: unknown) => void
  readonly #socket: ReturnType<typeof createSocket>
  readonly ready = true
  #unsent = 0
  #whenSent = () => {}

  constructor(target: StreamTarget, onFailure: (error: unknown) => void) {
    this.#target = target
    this.#onFailure = onFailure
    this.#socket = createSocket(target.host.includes(':') ? 'udp6' : 'udp4')
    this.#socket.on('error', onFailure)
    this.#socket.unref()
  }

  send(text: string): void {
    this.#unsent++
    this.#socket.send(text, this.#target.port, this.#target.host, (error) => {
      if (error !== null) this.#onFailure(error)
      if (--this.#unsent === 0) this.#whenSent()
    })
  }

  async close(): Promise<void> {
    if (this.#unsent > 0) await new Promise<void>((resolve) => (this.#whenSent = resolve))
    this.#socket.close()
  }
}
