import { Pkcs11PoolError } from '../errors.js'
import type { Clock } from '../internal/clock.js'
import type { ObjectHandle } from '../session/arguments.js'
import { idBytes, type KeyReference, type KeyUse } from '../session/key-reference.js'
import { Searches } from './searches.js'

/** How the cache of key handles behaves. */
export interface HandleCacheOptions {
  /** false: every operation finds its key on the token again. @defaultValue true */
  cache?: boolean | undefined
  /** Milliseconds for which a handle is used without looking at its key's label, id and class again. @defaultValue 60_000 */
  ttlMs?: number | undefined
  /** Milliseconds for which a key that was not found counts as missing. @defaultValue 500 */
  negativeTtlMs?: number | undefined
  /** The most handles held; the one that was used longest ago goes first. @defaultValue 100_000 */
  maxEntries?: number | undefined
  /**
   * Whether each use of a key is confirmed by a look at what the handle is of, in the same session after it: for tokens that give a new
   * key the number of one that another process destroyed, which would answer for it. `'auto'`: where the token is known to do that, or
   * was seen to. Costs one more call to the token each.
   *
   * @defaultValue 'auto'
   */
  confirmUse?: boolean | 'auto' | undefined
}

/** {@link HandleCacheOptions} with every default filled in. */
export interface ResolvedHandleCacheOptions {
  readonly cache: boolean
  readonly ttlMs: number
  readonly negativeTtlMs: number
  readonly maxEntries: number
  readonly confirmUse: boolean | 'auto'
}

/** The defaults of {@link HandleCacheOptions}. */
export const DEFAULT_HANDLE_CACHE_OPTIONS: ResolvedHandleCacheOptions = Object.freeze({
  cache: true,
  ttlMs: 60_000,
  negativeTtlMs: 500,
  maxEntries: 100_000,
  confirmUse: 'auto',
})

/** How many numbers of destroyed keys are remembered. */
const MOST_ENDED = 1_000

interface Found {
  readonly reference: KeyReference
  readonly handle: ObjectHandle
  readonly missing?: undefined
  readonly expiresAt: number
}

interface Missing {
  readonly reference: KeyReference
  readonly handle?: undefined
  readonly missing: Pkcs11PoolError
  readonly expiresAt: number
}

/** Looks a key up on the token. `stale` is the handle it had when the cache last knew: it may still be the one, and is seen by a look. */
export type Lookup = (stale: ObjectHandle | undefined) => Promise<ObjectHandle>

/**
 * Which handle a key reference has, so that an operation need not search the token: a search is linear in the objects there are.
 *
 * A handle is only kept when nothing was invalidated while it was looked up: the answer to a search that began before a destroy may
 * be the key that was destroyed. Lookups of one reference at the same time are one search.
 */
export class HandleCache {
  readonly #options: ResolvedHandleCacheOptions
  readonly #clock: Clock
  // In the order of use, the oldest first: a Map iterates in the order of insertion.
  readonly #entries = new Map<string, Found | Missing>()
  readonly #searches = new Searches()
  /** numbers of destroyed keys, the one that was longest ago first */
  readonly #ended = new Set<ObjectHandle>()
  #numbersComeBack = false
  #epoch = 0
  hits = 0
  misses = 0

  constructor(options: ResolvedHandleCacheOptions, clock: Clock) {
    this.#options = options
    this.#clock = clock
  }

  get size(): number {
    return this.#entries.size
  }

  /** Whether a handle may be another key's by the time it is used. */
  get confirms(): boolean {
    const { confirmUse } = this.#options
    return confirmUse === 'auto' ? this.#numbersComeBack : confirmUse
  }

  /** The token is known to give numbers out again. */
  numbersComeBack(): void {
    this.#numbersComeBack = true
  }

  /** The handle, when it is known and fresh. @throws KEY_NOT_FOUND while a miss is fresh */
  peek(name: string): ObjectHandle | undefined {
    const entry = this.#entries.get(name)
    if (entry === undefined) return undefined
    if (this.#clock.now() >= entry.expiresAt) return undefined
    if (entry.missing !== undefined) throw entry.missing
    this.hits += 1
    // Moving each entry on each use would cost more than the order is worth while there is room for all.
    if (this.#entries.size > this.#options.maxEntries / 2) {
      this.#entries.delete(name)
      this.#entries.set(name, entry)
    }
    return entry.handle
  }

  /** The handle from the token, by a search that is under way already or by one of its `own`, which others may join. */
  lookUp(name: string, reference: KeyReference, lookup: Lookup): { found: Promise<ObjectHandle>; own: boolean } {
    this.misses += 1
    if (!this.#options.cache) return { found: lookup(undefined), own: true }
    const underWay = this.#searches.underWay(name)
    if (underWay !== undefined) return { found: underWay, own: false }
    return { found: this.#searches.start(name, () => this.#search(name, reference, lookup)), own: true }
  }

  /** A caller's time ran out while it waited for this search: others need not wait for it too. */
  giveUp(name: string, found: Promise<ObjectHandle>): void {
    this.#searches.giveUp(name, found)
  }

  /** Forgets everything, what is being looked up included. */
  clear(): void {
    this.#epoch += 1
    this.#entries.clear()
    // A module that was initialised again numbers anew.
    this.#ended.clear()
    this.#searches.leave()
  }

  /** Forgets what any reference to these keys has answered: those that name more than this one, and those that name less. */
  forgetReference({ label, id }: KeyReference): void {
    const bytes = id === undefined ? undefined : idBytes(id)
    this.#forgetIf(({ reference }) => {
      if (label !== undefined && reference.label !== undefined && reference.label !== label) return false
      return bytes === undefined || reference.id === undefined || idBytes(reference.id).equals(bytes)
    })
  }

  /** No reference may answer a handle any more. */
  forgetHandle(handle: ObjectHandle): void {
    this.#forgetIf((entry) => entry.handle === handle)
  }

  /** A key was destroyed, for certain. */
  ended(handle: ObjectHandle): void {
    this.forgetHandle(handle)
    this.#ended.add(handle)
    if (this.#ended.size <= MOST_ENDED) return
    const [oldest] = this.#ended
    if (oldest !== undefined) this.#ended.delete(oldest)
  }

  /** A key was made, or found. */
  appeared(handle: ObjectHandle): void {
    if (this.#ended.size > 0 && this.#ended.delete(handle)) this.#numbersComeBack = true
  }

  /** A key came: what was missing may be there now, and what was the only one may be one of two. */
  forgetMatching(label: string | undefined, id: Uint8Array | undefined): void {
    this.#forgetIf(({ missing, reference }) => {
      if (missing !== undefined) return true
      if (reference.label !== undefined && reference.label !== label) return false
      return reference.id === undefined || (id !== undefined && idBytes(reference.id).equals(id))
    })
  }

  #forgetIf(condition: (entry: Found | Missing) => boolean): void {
    this.#epoch += 1
    this.#searches.leave()
    for (const [name, entry] of this.#entries) if (condition(entry)) this.#entries.delete(name)
  }

  async #search(name: string, reference: KeyReference, lookup: Lookup): Promise<ObjectHandle> {
    const epoch = this.#epoch
    try {
      const handle = await lookup(this.#entries.get(name)?.handle)
      this.appeared(handle)
      if (epoch === this.#epoch) {
        this.#keep(name, { reference, handle, expiresAt: this.#clock.now() + this.#options.ttlMs })
      }
      return handle
    } catch (error) {
      if (epoch === this.#epoch && error instanceof Pkcs11PoolError && error.code === 'KEY_NOT_FOUND') {
        const expiresAt = this.#clock.now() + this.#options.negativeTtlMs
        this.#keep(name, { reference, missing: error, expiresAt })
      }
      throw error
    }
  }

  #keep(name: string, entry: Found | Missing): void {
    this.#entries.delete(name)
    this.#entries.set(name, entry)
    if (this.#entries.size <= this.#options.maxEntries) return
    const [oldest] = this.#entries.keys()
    if (oldest !== undefined) this.#entries.delete(oldest)
  }
}

/** The name under which a reference is cached. Two references have the same name only when they mean the same keys. */
export function cacheName({ label, id, class: keyClass, private: isPrivate }: KeyReference, use: KeyUse): string {
  // 4 bytes and the integer they are mean the same key.
  const idPart = typeof id === 'object' ? (asInteger(id) ?? `x${Buffer.from(id).toString('hex')}`) : id
  // The label comes last: it may hold anything, and nothing follows that it could be taken for.
  const others = `${use}|${keyClass}|${isPrivate}|${idPart}|`
  return label === undefined ? others : `${others}=${label}`
}

function asInteger(id: Uint8Array): number | undefined {
  return id.length === 4 ? Buffer.from(id).readUInt32BE() : undefined
}
