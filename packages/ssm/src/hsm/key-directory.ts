import type { StoredKey } from './stored-key.js'

/**
 * How long a label's list of keys is believed, in milliseconds. Within it a key that another process made under a label known
 * here is not yet picked for encryption; one that is asked for by id and not listed is looked for on the token at once.
 */
export const KEY_LIST_TTL_MS = 30_000

/** The keys under a label, and whether the token was asked just now. */
export interface KeyList {
  keys: readonly StoredKey[]
  fresh: boolean
}

interface CachedList {
  keys: readonly StoredKey[]
  expiresAt: number
}

/**
 * Remembers which keys are under which label, so that a request need not search the token. It holds ids only: handles are the
 * library's to cache. Labels without keys are not remembered, so what clients make up does not pile up here.
 */
export class KeyDirectory {
  readonly #find: (label: string) => Promise<StoredKey[]>
  readonly #now: () => number
  readonly #lists = new Map<string, CachedList>()
  readonly #searches = new Map<string, Promise<readonly StoredKey[]>>()

  /** @param now milliseconds of a clock that never goes back */
  constructor(find: (label: string) => Promise<StoredKey[]>, now: () => number = () => performance.now()) {
    this.#find = find
    this.#now = now
  }

  /** The keys under a label, at most {@link KEY_LIST_TTL_MS} old. */
  async list(label: string): Promise<KeyList> {
    const cached = this.#lists.get(label)
    if (cached !== undefined && this.#now() < cached.expiresAt) return { keys: cached.keys, fresh: false }
    return this.refresh(label)
  }

  /** Asks the token. Callers who ask while a search runs share it. */
  async refresh(label: string): Promise<KeyList> {
    const running = this.#searches.get(label)
    if (running !== undefined) return { keys: await running, fresh: true }
    const search = this.#find(label)
    this.#searches.set(label, search)
    try {
      const keys = await search
      // a search that was forgotten meanwhile may have missed a key: it answers its callers and is not remembered
      if (this.#searches.get(label) === search) this.#remember(label, keys)
      return { keys, fresh: true }
    } finally {
      if (this.#searches.get(label) === search) this.#searches.delete(label)
    }
  }

  /** Forgets a label's keys, also what a search now under way will find: they are about to change, or just did. */
  forget(label: string): void {
    this.#lists.delete(label)
    this.#searches.delete(label)
  }

  /** The same for every label. */
  forgetAll(): void {
    this.#lists.clear()
    this.#searches.clear()
  }

  #remember(label: string, keys: readonly StoredKey[]): void {
    if (keys.length > 0) this.#lists.set(label, { keys, expiresAt: this.#now() + KEY_LIST_TTL_MS })
    else this.#lists.delete(label)
  }
}
