import type { Client } from 'pkcs11-pool'
import type { AuditStore, StoredEntry } from './audit-store.js'
import { type ChainHead, link } from './chain.js'
import { AuditBroken } from './chain-verifier.js'
import { type AuditEvent, entryText, serviceEvent } from './entry.js'
import type { KeptHeads } from './kept-heads.js'
import { AuditSigner, type Signed } from './signer.js'
import type { AuditReader } from './verify-store.js'

/** How much is written at once, and how long, in milliseconds, an entry waits for others to be written with it. */
const BATCH = 200
const FLUSH_MS = 20
/** How long, in milliseconds, until what could not be written is tried again. */
const RETRY_MS = 1_000
/** Entries that may wait; what comes on top is counted as lost. */
const MAX_QUEUED = 10_000
/** A head is signed after so many entries, or so many milliseconds after the first that no head covers. */
const HEAD_ENTRIES = 1_000
const HEAD_MS = 10_000
/** The HSM keeps the newest head at most this often, in milliseconds: it may wear out. */
const ANCHOR_MS = 60_000

/** What {@link AuditLog} needs. */
export interface AuditLogOptions {
  store: AuditReader & Pick<AuditStore, 'append' | 'addHead' | 'touch'>
  client: Client
  /** where the newest head is kept beside the store */
  kept: KeptHeads
  /** whose chain it is: each process that writes at the same time has its own */
  chain: string
  /** is given each entry when it is on the disk. @defaultValue nobody is */
  forward?: ((entries: readonly StoredEntry[]) => void) | undefined
  /** hears of each failure to write or to sign */
  onFailure: (error: unknown) => void
  /**
   * when the store is compared with the newest heads that were signed: `open` rejects where it does not go on from them, or nothing is signed
   * any more and no key changed from the moment that the token is first asked to sign. @defaultValue `opening`
   */
  comparedWhen?: 'opening' | 'signing'
}

/** An audit at one moment. */
export interface AuditStats {
  /** entries that wait to be written */
  queued: number
  /** entries after the last signed head */
  unsigned: number
  writable: boolean
  /** entries written by this process, ever */
  written: number
  /** entries that found no room, ever */
  lost: number
  /** failures to write or to sign, ever */
  failures: number
}

interface Queued {
  event: AuditEvent
  /** for whoever waits until it is written */
  settle?: { resolve(): void; reject(error: unknown): void }
}

/**
 * Writes what happens into a chain of hashes, in batches and off the requests' path, and has the HSM sign its head every now and then. What
 * could not be written stays queued and is tried again.
 */
export class AuditLog {
  readonly #options: AuditLogOptions
  readonly #signer: AuditSigner
  readonly #queue: Queued[] = []
  /** how many at the head of the queue were in the attempt that failed: the same are tried again, because it may have succeeded unseen */
  #attempted = 0
  #head: ChainHead
  #signedSeq: number
  #anchoredAt = Number.NEGATIVE_INFINITY
  /** not written down yet */
  #lost = 0
  #lostEver = 0
  #written = 0
  #failures = 0
  #failure: Error | undefined
  /** whether the store was found to go on from what was signed; the error where it does not, and never will */
  #continuation: 'unknown' | 'found' | AuditBroken = 'unknown'
  #flushing: Promise<void> | undefined
  #signing: Promise<void> | undefined
  #flushTimer: NodeJS.Timeout | undefined
  #headTimer: NodeJS.Timeout | undefined
  #closed = false

  private constructor(options: AuditLogOptions, head: ChainHead, signedSeq: number) {
    this.#options = options
    this.#signer = new AuditSigner(options.client)
    this.#head = head
    this.#signedSeq = signedSeq
  }

  /**
   * Goes on where the chain ended, and writes that it does, with the number of entries that the last run left unsigned.
   *
   * @throws AuditBroken where the chain was cut off or changed since its newest head was signed
   */
  static async open(options: AuditLogOptions, action = 'SERVICE_START'): Promise<AuditLog> {
    const { store, chain, comparedWhen = 'opening' } = options
    const [head, signedSeq] = [await store.lastEntry(chain), await store.lastHead(chain)]
    const log = new AuditLog(options, head, signedSeq)
    if (comparedWhen === 'opening') await log.#requireContinuation()
    const unsigned = head.seq - signedSeq
    await log.recordDurably(serviceEvent(action, new Date(), unsigned))
    return log
  }

  /** False while the last attempt to write failed, or more waits than may; and for ever where the chain was cut off. */
  get writable(): boolean {
    if (this.#continuation instanceof AuditBroken) return false
    return this.#failure === undefined && this.#queue.length < MAX_QUEUED
  }

  stats(): AuditStats {
    return {
      queued: this.#queue.length,
      unsigned: this.#head.seq - this.#signedSeq,
      writable: this.writable,
      written: this.#written,
      lost: this.#lostEver,
      failures: this.#failures,
    }
  }

  /** Writes it soon. */
  record(event: AuditEvent): void {
    if (this.#closed || this.#queue.length >= MAX_QUEUED) {
      this.#lost++
      this.#lostEver++
      return
    }
    this.#queue.push({ event })
    if (this.#queue.length >= BATCH && this.#failure === undefined) void this.#flush()
    else this.#flushLater()
  }

  /** Resolves when it is on the disk. Where it rejects, it stays queued and is tried again. */
  recordDurably(event: AuditEvent): Promise<void> {
    const written = new Promise<void>((resolve, reject) => this.#queue.push({ event, settle: { resolve, reject } }))
    void this.#flush()
    return written
  }

  /** Resolves when the store was written just now, and nothing that failed before is left. */
  async requireWritable(): Promise<void> {
    if (this.#continuation instanceof AuditBroken) throw this.#continuation
    if (this.#failure !== undefined) await this.#flush()
    if (this.#failure !== undefined) throw this.#failure
    await this.#options.store.touch(this.#options.chain, new Date())
  }

  /** Has the HSM sign where the chain has come to, if that is not signed yet. Failures are told, and tried again later. */
  async signHead(): Promise<void> {
    await this.#signing
    this.#signing = this.#sign(this.#head)
    await this.#signing
  }

  /** Writes what waits, and signs the end. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#flushTimer)
    clearTimeout(this.#headTimer)
    await this.recordDurably(serviceEvent('SERVICE_STOP', new Date())).catch(() => {})
    while (this.#queue.length > 0 && this.#failure === undefined) await this.#flush()
    this.#anchoredAt = Number.NEGATIVE_INFINITY
    await this.signHead()
  }

  #flushLater(delay = this.#failure === undefined ? FLUSH_MS : RETRY_MS): void {
    if (this.#closed) return
    this.#flushTimer ??= setTimeout(() => {
      this.#flushTimer = undefined
      void this.#flush()
    }, delay)
  }

  /** One batch at a time. Never rejects: those who wait are told, and `#failure` says so. */
  async #flush(): Promise<void> {
    if (this.#flushing !== undefined) return this.#flushing
    this.#flushing = this.#writeBatch()
    await this.#flushing
    this.#flushing = undefined
    if (this.#queue.length > 0) {
      if (this.#failure === undefined && this.#queue.some((each) => each.settle !== undefined)) void this.#flush()
      else this.#flushLater()
    }
  }

  async #writeBatch(): Promise<void> {
    const { store, chain, onFailure } = this.#options
    const again = this.#attempted > 0
    if (!again && this.#lost > 0) {
      this.#queue.unshift({ event: serviceEvent('LOST', new Date(), this.#lost) })
      this.#lost = 0
    }
    const batch = this.#queue.slice(0, again ? this.#attempted : BATCH)
    const entries = this.#place(batch.map((each) => each.event))
    const last = entries.at(-1)
    if (last === undefined) return
    try {
      if (!again || !(await this.#isWritten(last))) await store.append(chain, entries)
      this.#failure = undefined
      this.#attempted = 0
      this.#head = { seq: last.seq, hash: last.hash }
      this.#queue.splice(0, batch.length)
      this.#written += entries.length
      for (const { settle } of batch) settle?.resolve()
      this.#options.forward?.(entries)
      this.#signSoon()
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error))
      this.#attempted = batch.length
      this.#failures++
      onFailure(error)
      // what is behind it is not written before it
      for (const each of this.#queue) {
        each.settle?.reject(error)
        delete each.settle
      }
    }
  }

  async #isWritten(last: StoredEntry): Promise<boolean> {
    const { seq, hash } = await this.#options.store.lastEntry(this.#options.chain)
    return seq === last.seq && hash === last.hash
  }

  #place(events: readonly AuditEvent[]): StoredEntry[] {
    let { seq, hash } = this.#head
    return events.map((event) => {
      seq++
      const entry = entryText(this.#options.chain, seq, event)
      hash = link(hash, entry)
      return { seq, entry, hash }
    })
  }

  #signSoon(): void {
    if (this.#closed) return
    if (this.#head.seq - this.#signedSeq >= HEAD_ENTRIES && this.#signing === undefined) void this.signHead()
    this.#headTimer ??= setTimeout(() => {
      this.#headTimer = undefined
      void this.signHead().then(() => {
        if (this.#signedSeq < this.#head.seq) this.#signSoon()
      })
    }, HEAD_MS).unref()
  }

  /** Before the first head of this process is signed. @throws AuditBroken, each time */
  async #requireContinuation(): Promise<void> {
    const { store, chain, kept } = this.#options
    if (this.#continuation instanceof AuditBroken) throw this.#continuation
    if (this.#continuation === 'found') return
    try {
      await kept.requireContinuation(store, chain)
      this.#continuation = 'found'
    } catch (error) {
      if (error instanceof AuditBroken) this.#continuation = error
      throw error
    }
  }

  async #sign({ seq, hash }: ChainHead): Promise<void> {
    const { store, chain, kept, onFailure } = this.#options
    if (seq === this.#signedSeq) return
    try {
      await this.#requireContinuation()
      const signed: Signed = await this.#signer.sign({ chain, seq, hash, time: new Date().toISOString() })
      await store.addHead(chain, { seq, ...signed })
      this.#signedSeq = seq
      await kept.keepInFile({ chain, head: signed })
      if (performance.now() - this.#anchoredAt < ANCHOR_MS) return
      await kept.keepOnToken({ chain, head: signed })
      this.#anchoredAt = performance.now()
    } catch (error) {
      this.#failures++
      onFailure(error)
    } finally {
      this.#signing = undefined
    }
  }
}
