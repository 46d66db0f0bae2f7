/** The store could not do what it was asked. */
export class StoreError extends Error {
  /** SQLite's own where it has one, such as `SQLITE_FULL`; else `DRIVER_MISSING`, `MIGRATION_FAILED`, `STORE_CLOSED` or `STORE_BROKEN` */
  readonly code: string

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'StoreError'
    this.code = code
  }
}
