import { closeSync, openSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { CLOSE, type SqliteAnswer, type SqliteRequest, type SqliteSettings } from './sqlite-protocol.js'
import { StoreError } from './store-error.js'

// the compiled file also for tests, which run this one from its source
const WORKER = new URL('../../dist/store/sqlite-worker.js', import.meta.url)

/** What a statement did. */
export interface SqliteResult {
  rows: unknown[]
  /** undefined for what only reads */
  changes: number | undefined
}

interface Waiting {
  resolve(result: SqliteResult): void
  reject(error: StoreError): void
}

/** A SQLite file, used by a thread of its own: no statement, and no wait for the disk, runs on the event loop. */
export class SqliteThread {
  readonly #worker: Worker
  readonly #waiting = new Map<number, Waiting>()
  #nextId = 0
  #ended: StoreError | undefined

  private constructor(worker: Worker) {
    this.#worker = worker
    worker.on('message', (answer: SqliteAnswer) => this.#settle(answer))
    worker.on('error', (cause) => {
      this.#fail(new StoreError('STORE_BROKEN', `the store's thread failed: ${cause.message}`, { cause }))
    })
    worker.on('exit', () => this.#fail(new StoreError('STORE_CLOSED', 'the store is closed')))
  }

  /** Opens the file; one that is not there is made, readable by its owner only. @throws StoreError */
  static async open(file: string): Promise<SqliteThread> {
    // SQLite gives the files beside it the same mode
    closeSync(openSync(file, 'a', 0o600))
    const settings: SqliteSettings = { file }
    const thread = new SqliteThread(new Worker(WORKER, { workerData: settings, execArgv: [] }))
    await thread.#opened()
    return thread
  }

  /** Runs one statement, after those that were asked for before. @throws StoreError */
  run(sql: string, parameters: readonly unknown[]): Promise<SqliteResult> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    const id = ++this.#nextId
    const request: SqliteRequest = { id, sql, parameters }
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#worker.postMessage(request)
    })
  }

  /** Closes the file, after the statements that were asked for before. */
  async close(): Promise<void> {
    if (this.#ended !== undefined) return
    const ended = new Promise<void>((resolve) => this.#worker.once('exit', () => resolve()))
    this.#worker.postMessage(CLOSE)
    await ended
  }

  #opened(): Promise<SqliteResult> {
    return new Promise((resolve, reject) => this.#waiting.set(0, { resolve, reject }))
  }

  #settle(answer: SqliteAnswer): void {
    const waiting = this.#waiting.get(answer.id)
    this.#waiting.delete(answer.id)
    if ('error' in answer) waiting?.reject(new StoreError(answer.error.code, answer.error.message))
    else waiting?.resolve({ rows: answer.rows, changes: answer.changes })
  }

  #fail(error: StoreError): void {
    this.#ended ??= error
    for (const { reject } of this.#waiting.values()) reject(this.#ended)
    this.#waiting.clear()
  }
}
