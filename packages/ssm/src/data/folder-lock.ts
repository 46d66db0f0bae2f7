import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import Database from 'better-sqlite3'
import { describeSqliteError } from '../store/sqlite-error.js'
import { StoreError } from '../store/store-error.js'
import type { DataFolder } from './data-folder.js'

/** Another process serves this data folder. */
class DataFolderInUse extends StoreError {
  constructor(folder: string, holder: string) {
    super(
      'DATA_IN_USE',
      `the data folder ${folder} is served already, by process ${holder}: stop that one, or give each a folder of its own (ssm init)`,
    )
  }
}

/**
 * Sees to it that one process at most serves a data folder: two would write one chain of the audit, and each remember keys that the other
 * destroys. It is a lock of SQLite's on an empty file, which the kernel frees however the process ends. Commands do not take it.
 */
export class FolderLock {
  readonly #database: Database.Database

  private constructor(database: Database.Database) {
    this.#database = database
  }

  /** @throws DataFolderInUse, StoreError where the folder cannot be written */
  static take({ path, lock, holder }: DataFolder): FolderLock {
    let database: Database.Database | undefined
    try {
      createOnce(lock)
      database = new Database(lock, { timeout: 0 })
      database.exec('begin exclusive')
      writeFileSync(holder, `${process.pid}\n`, { mode: 0o600 })
      return new FolderLock(database)
    } catch (error) {
      database?.close()
      const { code, message } = describeSqliteError(error)
      if (code === 'SQLITE_BUSY') throw new DataFolderInUse(path, readHolder(holder))
      throw new StoreError(code, `the data folder cannot be locked: ${message}`)
    }
  }

  release(): void {
    this.#database.close()
  }
}

/** Readable by its owner only. One that is there is not opened: to close it again would free the lock that this process may have on it. */
function createOnce(file: string): void {
  try {
    closeSync(openSync(file, 'wx', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

function readHolder(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    // it has the lock, and will have written its number in a moment
    return 'unknown'
  }
}
