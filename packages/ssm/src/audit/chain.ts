import { createHash } from 'node:crypto'

/** Where a chain has come to. */
export interface ChainHead {
  /** 0 before the first entry */
  seq: number
  /** lower-case hex */
  hash: string
}

/** Before the first entry. */
export const GENESIS: ChainHead = { seq: 0, hash: '0'.repeat(64) }

/** The hash of an entry: of its text and of the hash before it, so that nothing can be changed or moved without changing all that follows. */
export function link(previous: string, text: string): string {
  return createHash('sha256').update(`${previous}\n${text}`).digest('hex')
}
