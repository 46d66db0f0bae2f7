/** The store could not do what it was asked. */
export class StoreError extends Error {
  /**
   * the database's own where it has one, such as `SQLITE_FULL` or PostgreSQL's five characters; the system's where the database is out of
   * reach; else `DRIVER_MISSING`, `MIGRATION_FAILED`, `STORE_CLOSED`, `STORE_SLOW`, `STORE_BROKEN` or
   * `STORE_MISSING`
   */
  readonly code: string

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'StoreError'
    this.code = code
  }
}
