// Runs in a thread of its own, because SQLite waits for the disk.

import { parentPort, workerData } from 'node:worker_threads'
import Database from 'better-sqlite3'
import { describeSqliteError } from './sqlite-error.js'
import { CLOSE, type SqliteAnswer, type SqliteRequest, type SqliteSettings } from './sqlite-protocol.js'

/** Milliseconds to wait for another process that writes. */
const BUSY_TIMEOUT_MS = 5_000

const answer = (message: SqliteAnswer) => parentPort?.postMessage(message)

try {
  const database = open(workerData as SqliteSettings)
  answer({ id: 0, rows: [], changes: undefined })
  parentPort?.on('message', (message: SqliteRequest | typeof CLOSE) => {
    if (message === CLOSE) {
      database.close()
      parentPort?.close()
    } else {
      answer(run(database, message))
    }
  })
} catch (error) {
  answer({ id: 0, error: describeSqliteError(error) })
}

function open({ file }: SqliteSettings): Database.Database {
  const database = new Database(file, { timeout: BUSY_TIMEOUT_MS })
  database.pragma('journal_mode = WAL')
  // a commit is on the disk when it is answered: the audit of a key change must survive the power
  database.pragma('synchronous = FULL')
  database.pragma('trusted_schema = OFF')
  return database
}

function run(database: Database.Database, { id, sql, parameters }: SqliteRequest): SqliteAnswer {
  try {
    const statement = database.prepare(sql)
    if (statement.reader) return { id, rows: statement.all(...parameters), changes: undefined }
    return { id, rows: [], changes: statement.run(...parameters).changes }
  } catch (error) {
    return { id, error: describeSqliteError(error) }
  }
}
