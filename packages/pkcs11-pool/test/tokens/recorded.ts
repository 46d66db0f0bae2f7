import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Column } from './probes.js'

/** What a run has shown of one token: `docs/tokens.md` is made of these. */
export interface TokenRecord {
  name: string
  /** undefined where no Debian package tells it */
  version: string | undefined
  /** a probe that went well is `yes`, another has the function and the CKR */
  results: Record<Column, Record<string, string>>
  facts: TokenFacts
}

export interface TokenFacts {
  /** how many sessions the token says it can have */
  maxSessions: string
  /** which of the flags that warn of a locked PIN are set after one wrong PIN */
  flagsAfterWrongPin: string[]
  /** when a key that another process has made is seen */
  seesForeignKeys: 'at once' | 'when the module is initialised again'
  /** of two secret keys with one CKA_ID, how many are there afterwards; undefined where none can be generated */
  keysOfOneId?: number
}

const file = (id: string): string => fileURLToPath(new URL(`recorded/${id}.json`, import.meta.url))

/** Whether this run is to be recorded, rather than compared with the recorded one. */
export const isRecording = (process.env.RECORD_TOKENS ?? '') !== ''

export function readRecord(id: string): TokenRecord | undefined {
  return existsSync(file(id)) ? (JSON.parse(readFileSync(file(id), 'utf8')) as TokenRecord) : undefined
}

export function writeRecord(id: string, record: TokenRecord): void {
  mkdirSync(fileURLToPath(new URL('recorded', import.meta.url)), { recursive: true })
  writeFileSync(file(id), `${JSON.stringify(record, null, 2)}\n`)
}
