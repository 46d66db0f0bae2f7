/** What {@link SqliteThread} and its thread say to each other. */
export interface SqliteSettings {
  file: string
}

export interface SqliteRequest {
  id: number
  sql: string
  parameters: readonly unknown[]
}

/** The first message, with id 0, tells whether the file could be opened. */
export type SqliteAnswer =
  | { id: number; rows: unknown[]; changes: number | undefined }
  | { id: number; error: { code: string; message: string } }

/** Asks the thread to close the file and end. */
export const CLOSE = 'close'
