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
  entries(chain: string, after = Number.MIN_SAFE_INTEGER): AsyncGenerator<StoredEntry> {
    return inPages(after, (place) =>
      this.#store
        .selectFrom('audit_entries')
        .select(['seq', 'entry', 'hash'])
        .where('chain', '=', chain)
        .where('seq', '>', place)
        .orderBy('seq')
        .limit(PAGE)
        .execute(),
    )
  }

  /** The heads of a chain in the order of their places, a page at a time: all, or those from one place to another. */
  heads(
    chain: string,
    from = Number.MIN_SAFE_INTEGER + 1,
    to = Number.MAX_SAFE_INTEGER,
  ): AsyncGenerator<StoredHead, undefined> {
    return inPages(from - 1, (place) =>
      this.#store
        .selectFrom('audit_heads')
        .select(['seq', 'statement', 'signature'])
        .where('chain', '=', chain)
        .where('seq', '>', place)
        .where('seq', '<=', to)
        .orderBy('seq')
        .limit(PAGE)
        .execute(),
    )
  }
}

/** @param page what comes after a place, in order */
async function* inPages<T extends { seq: number }>(
  after: number,
  page: (after: number) => Promise<T[]>,
): AsyncGenerator<T, undefined> {
  for (let place = after; ; ) {
    const rows = await page(place)
    yield* rows
    const last = rows.at(-1)
    if (last === undefined) return
    place = last.seq
  }
}
