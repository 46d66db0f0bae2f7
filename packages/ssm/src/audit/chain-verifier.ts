import type { StoredEntry } from './audit-store.js'
import { type ChainHead, GENESIS, link } from './chain.js'
import { type AuditKeys, openStatement, type Signed } from './signer.js'

/** The audit is not what was written. It says where. */
export class AuditBroken extends Error {
  /** @param seq the place of the first entry that is wrong or missing */
  constructor(
    readonly chain: string,
    readonly seq: number,
    readonly what: string,
  ) {
    super(`chain ${chain}, entry ${seq}: ${what}`)
    this.name = 'AuditBroken'
  }
}

/** Follows a chain entry by entry. */
export class ChainVerifier {
  readonly chain: string
  readonly #keys: AuditKeys
  #head: ChainHead
  #signedSeq = 0

  /** @param from where to begin: what is before it is not looked at */
  constructor(chain: string, keys: AuditKeys, from: ChainHead = GENESIS) {
    this.chain = chain
    this.#keys = keys
    this.#head = from
  }

  get head(): ChainHead {
    return this.#head
  }

  /** The last entry that a head covers; 0 where there is none. */
  get signedSeq(): number {
    return this.#signedSeq
  }

  /** @throws AuditBroken */
  entry({ seq, entry, hash }: StoredEntry): void {
    const expected = this.#head.seq + 1
    const { chain, seq: written } = membersOf(entry)
    if (seq !== written || chain !== this.chain) {
      throw this.#broken(
        expected,
        `it says that it is entry ${String(written)} of chain ${String(chain)}: it was changed or moved`,
      )
    }
    if (seq > expected) throw this.#broken(expected, `it is missing: entry ${seq} comes next`)
    if (seq < expected) throw this.#broken(expected, `entry ${seq} stands in its place`)
    if (hash !== link(this.#head.hash, entry))
      throw this.#broken(seq, 'it was changed: it does not have the hash that is kept with it')
    this.#head = { seq, hash }
  }

  /** A head of the entry that was followed last. @throws AuditBroken */
  headOf(seq: number, head: Signed): void {
    const members = openStatement(head, this.#keys)
    if (members === undefined) throw this.#broken(seq, 'the head that signs it was changed, or signed by another key')
    const matches = members.chain === this.chain && members.seq === seq && seq === this.#head.seq
    if (!matches || members.hash !== this.#head.hash) throw this.#broken(seq, 'it is not the entry that was signed')
    this.#signedSeq = seq
  }

  /** What a head says that is beyond the last entry. @throws AuditBroken */
  beyond(seq: number): never {
    throw this.#broken(
      this.#head.seq + 1,
      `it is missing, and so are all up to entry ${seq}, which a head signs: the end was cut off`,
    )
  }

  #broken(seq: number, what: string): AuditBroken {
    return new AuditBroken(this.chain, seq, what)
  }
}

function membersOf(entry: string): { chain?: unknown; seq?: unknown } {
  try {
    const members: unknown = JSON.parse(entry)
    return typeof members === 'object' && members !== null ? members : {}
  } catch {
    return {}
  }
}
