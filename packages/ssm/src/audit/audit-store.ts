import type { Store } from '../store/store.js'
import { type ChainHead, GENESIS } from './chain.js'
import type { Signed } from './signer.js'

/** An entry in its place. */
export interface StoredEntry {
  seq: number
  entry: string
  hash: string
}

/** A head in its place. */
export interface StoredHead extends Signed {
  seq: number
}

const PAGE = 1_000

/** The audit's tables. */
export class AuditStore {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  async lastEntry(chain: string): Promise<ChainHead> {
    const row = await this.#store
      .selectFrom('audit_entries')
      .select(['seq', 'hash'])
      .where('chain', '=', chain)
      .orderBy('seq', 'desc')
      .limit(1)
      .executeTakeFirst()
    return row ?? GENESIS
  }

  /** The place of the newest head; 0 where there is none. */
  async lastHead(chain: string): Promise<number> {
    const row = await this.#store
      .selectFrom('audit_heads')
      .select('seq')
      .where('chain', '=', chain)
      .orderBy('seq', 'desc')
      .limit(1)
      .executeTakeFirst()
    return row?.seq ?? 0
  }

  /** Undefined where it is not there. */
  async entryAt(chain: string, seq: number): Promise<StoredEntry | undefined> {
    return this.#store
      .selectFrom('audit_entries')
      .select(['seq', 'entry', 'hash'])
      .where('chain', '=', chain)
      .where('seq', '=', seq)
      .executeTakeFirst()
  }

  async append(chain: string, entries: readonly StoredEntry[]): Promise<void> {
    await this.#store
      .insertInto('audit_entries')
      .values(entries.map((entry) => ({ chain, ...entry })))
      .execute()
  }

  async addHead(chain: string, head: StoredHead): Promise<void> {
    await this.#store
      .insertInto('audit_heads')
      .values({ chain, ...head })
      .onConflict((conflict) => conflict.columns(['chain', 'seq']).doUpdateSet(head))
      .execute()
  }

  /** Writes for the sake of having written: it rejects where the store cannot be written now. */
  async touch(chain: string, time: Date): Promise<void> {
    const row = { chain, touched_at: time.toISOString() }
    await this.#store
      .insertInto('audit_chains')
      .values(row)
      .onConflict((conflict) => conflict.column('chain').doUpdateSet(row))
      .execute()
  }

  async chains(): Promise<string[]> {
    const [entries, heads] = await Promise.all([
      this.#store.selectFrom('audit_entries').select('chain').distinct().execute(),
      this.#store.selectFrom('audit_heads').select('chain').distinct().execute(),
    ])
    return [...new Set([...entries, ...heads].map((row) => row.chain))].toSorted()
  }

  /** The entries of a chain in their order, a page at a time: all, or those after a place. */
  async *entries(chain: string, from = Number.MIN_SAFE_INTEGER): AsyncGenerator<StoredEntry> {
    for (let after = from; ; ) {
      const page = await this.#store
        .selectFrom('audit_entries')
        .select(['seq', 'entry', 'hash'])
        .where('chain', '=', chain)
        .where('seq', '>', after)
        .orderBy('seq')
        .limit(PAGE)
        .execute()
      yield* page
      const last = page.at(-1)
      if (last === undefined) return
      after = last.seq
    }
  }

  /** The heads of a chain in the order of their places, a page at a time: all, or those from one place to another. */
  async *heads(
    chain: string,
    from = Number.MIN_SAFE_INTEGER,
    to = Number.MAX_SAFE_INTEGER,
  ): AsyncGenerator<StoredHead, undefined> {
    for (let next = from; ; ) {
      const page = await this.#store
        .selectFrom('audit_heads')
        .select(['seq', 'statement', 'signature'])
        .where('chain', '=', chain)
        .where('seq', '>=', next)
        .where('seq', '<=', to)
        .orderBy('seq')
        .limit(PAGE)
        .execute()
      yield* page
      const last = page.at(-1)
      if (last === undefined) return
      next = last.seq + 1
    }
  }
}
