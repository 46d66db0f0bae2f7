import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { usePostgres } from 'testkit/vitest'
import { afterAll } from 'vitest'

/** A database that stores can be opened in. */
export interface StorePlaces {
  name: 'SQLite' | 'PostgreSQL'
  /** a new place, where nothing is yet */
  make(): string
}

/** The databases to run a file's tests on: both, where PostgreSQL is installed. All they hold is removed after the last test. */
export async function useStorePlaces(): Promise<StorePlaces[]> {
  const directory = mkdtempSync(join(tmpdir(), 'ssm-store-'))
  afterAll(() => rmSync(directory, { recursive: true }))
  let count = 0
  const sqlite: StorePlaces = { name: 'SQLite', make: () => join(directory, `${++count}.sqlite`) }
  const postgres = await usePostgres()
  if (postgres === undefined) return [sqlite]
  return [sqlite, { name: 'PostgreSQL', make: () => postgres.createDatabase() }]
}
