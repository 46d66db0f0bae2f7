import { Pkcs11PoolError } from 'pkcs11-pool'
import { Problem } from '../problems/problem.js'
import { anyKey, keyWithId } from './choose-key.js'
import type { Hsm, KeyChoice } from './hsm.js'
import { KeyDirectory } from './key-directory.js'
import { LabelLocks } from './label-locks.js'
import { type StoredKey, visibleKeys } from './stored-key.js'

/** A key, and what came of its use. */
export interface Used<T> {
  key: StoredKey
  value: T
}

/** A key as a request wants it: one with an id, the only one where that is 0, or any where there is none. */
export interface Wanted {
  label: string
  id: number | undefined
}

/** The key that was chosen for one of many. */
export interface Choice {
  /** which of them */
  place: number
  key: StoredKey
}

/** Attempts at an encryption before key changes under its label have to wait for it. */
const FREE_ATTEMPTS = 2

/**
 * The keys under each label: used by many requests at once, changed by one at a time.
 *
 * A key may be destroyed, and another made with its label and id, while requests for it are under way. Which of the two served such a
 * request cannot be told afterwards: the library looks a handle up again, and a token may give the new key the old one's handle. So a
 * decryption that a destruction has overtaken counts as KEY_NOT_FOUND, and an encryption is done again with a key that is there, for
 * nobody could ever decrypt it otherwise.
 */
export class LabelKeys {
  readonly #hsm: Pick<Hsm, 'findKeys' | 'destroyKey'>
  readonly #directory: KeyDirectory
  readonly #locks = new LabelLocks()
  /** for each use under way, by label: the ids of keys that have been destroyed since it began */
  readonly #underWay = new Map<string, Set<Set<number>>>()
  /** by label, the id of the key that is being destroyed: the token may have done it already, and refuse uses for whatever reason */
  readonly #goingAway = new Map<string, number>()

  constructor(hsm: Pick<Hsm, 'findKeys' | 'destroyKey'>) {
    this.#hsm = hsm
    this.#directory = new KeyDirectory(async (label) => visibleKeys(await hsm.findKeys(label)))
  }

  /**
   * Decrypts with the key that has the id, or with the only one where it is 0.
   *
   * @throws Problem KEY_NOT_FOUND, KEY_AMBIGUOUS, and whatever `work` throws
   */
  use<T>(label: string, id: number, work: (key: StoredKey) => Promise<T>): Promise<Used<T>> {
    return this.#watching(label, async (destroyed) => {
      let latest: StoredKey | undefined
      try {
        const used = await this.#once(label, keyWithId(label, id), (key) => {
          latest = key
          return work(key)
        })
        if (!destroyed.has(used.key.id)) return used
      } catch (error) {
        if (latest === undefined || !saysSomethingOfTheKey(error)) throw error
        if (!destroyed.has(latest.id) && this.#goingAway.get(label) !== latest.id) throw error
      }
      throw overtaken(label)
    })
  }

  /**
   * Encrypts with a key that is there when it is done, whichever.
   *
   * @throws Problem KEY_NOT_FOUND, KEY_AMBIGUOUS where none can be named, and whatever `work` throws
   */
  useAny<T>(label: string, work: (key: StoredKey) => Promise<T>): Promise<Used<T>> {
    return this.untilNotDestroyed(label, () => this.#once(label, anyKey(label), work))
  }

  /**
   * Chooses a key for each of many, has them used together, and settles each as {@link use} and {@link useAny} do: one whose key is not
   * what it was thought to be is done again alone.
   */
  async useMany<T>(
    wanted: readonly Wanted[],
    together: (uses: readonly Choice[]) => Promise<readonly PromiseSettledResult<T>[]>,
    alone: (choice: Choice) => Promise<T>,
  ): Promise<PromiseSettledResult<Used<T>>[]> {
    const labels = [...new Set(wanted.map(({ label }) => label))]
    const watches = new Map(labels.map((label) => [label, this.#watch(label)]))
    try {
      const choices = await Promise.allSettled(
        wanted.map(async ({ label, id }, place) => {
          const { keys } = await this.#directory.list(label)
          return { place, key: choiceOf(label, id)(keys) }
        }),
      )
      const uses = choices.flatMap((choice) => (choice.status === 'fulfilled' ? [choice.value] : []))
      const results = await together(uses)
      const outcomes = new Map(uses.map(({ place }, at) => [place, results[at]]))
      return await Promise.allSettled(
        wanted.map(async ({ label, id }, place) => {
          const choice = choices[place]
          const key = choice?.status === 'fulfilled' ? choice.value.key : undefined
          const outcome = choice?.status === 'rejected' ? choice : outcomes.get(place)
          const isDestroyed = (candidate: StoredKey) => watches.get(label)?.destroyed.has(candidate.id) === true
          const isGone = key !== undefined && isDestroyed(key)
          const isGoing = key !== undefined && this.#goingAway.get(label) === key.id
          if (key !== undefined && outcome?.status === 'fulfilled' && !isGone) return { key, value: outcome.value }
          const error: unknown = outcome?.status === 'rejected' ? outcome.reason : undefined
          const mayBeGone = (isGone || isGoing) && saysSomethingOfTheKey(error)
          if (error !== undefined && !isAboutWhichKey(error) && !mayBeGone) return Promise.reject(error)
          if (isGone && id !== undefined) throw overtaken(label)
          const again = (found: StoredKey) => alone({ place, key: found })
          if (id === undefined) return this.useAny(label, again)
          const used = await this.use(label, id, again)
          if (isDestroyed(used.key)) throw overtaken(label)
          return used
        }),
      )
    } finally {
      for (const { end } of watches.values()) end()
    }
  }

  /** Makes an attempt, and makes it again where the key that it used has been destroyed meanwhile. */
  async untilNotDestroyed<R extends { key: StoredKey }>(label: string, attempt: () => Promise<R>): Promise<R> {
    for (let attempts = 0; attempts < FREE_ATTEMPTS; attempts++) {
      const done = await this.#watching(label, async (destroyed) => {
        try {
          const result = await attempt()
          return destroyed.has(result.key.id) ? undefined : result
        } catch (error) {
          const mayBeGone = destroyed.size > 0 || this.#goingAway.has(label)
          if (!mayBeGone || !saysSomethingOfTheKey(error)) throw error
          return undefined
        }
      })
      if (done !== undefined) return done
    }
    return this.#locks.run(label, attempt)
  }

  /** Lets one caller at a time change the keys under a label. */
  change<T>(label: string, change: () => Promise<T>): Promise<T> {
    return this.#locks.run(label, async () => {
      try {
        return await change()
      } finally {
        // also after a failure: whether a call that timed out took effect is unknown
        this.#directory.forget(label)
      }
    })
  }

  /** Destroys a key. Only for what has the label to itself, see {@link change}. */
  async destroy(key: StoredKey): Promise<void> {
    this.#goingAway.set(key.label, key.id)
    try {
      await this.#hsm.destroyKey(key)
    } finally {
      this.#goingAway.delete(key.label)
      this.#directory.forget(key.label)
      for (const destroyed of this.#underWay.get(key.label) ?? []) destroyed.add(key.id)
    }
  }

  /**
   * Uses a key chosen from the remembered list. Where the list may be out of date - it has no such key, or the key it names is gone or
   * no longer the only one - the token is asked once, and the use tried once more.
   */
  async #once<T>(label: string, choose: KeyChoice, work: (key: StoredKey) => Promise<T>): Promise<Used<T>> {
    const { keys, fresh } = await this.#directory.list(label)
    try {
      const key = choose(keys)
      return { key, value: await work(key) }
    } catch (error) {
      if (fresh || !isAboutWhichKey(error)) throw error
    }
    const { keys: current } = await this.#directory.refresh(label)
    const key = choose(current)
    return { key, value: await work(key) }
  }

  async #watching<T>(label: string, run: (destroyed: ReadonlySet<number>) => Promise<T>): Promise<T> {
    const { destroyed, end } = this.#watch(label)
    try {
      return await run(destroyed)
    } finally {
      end()
    }
  }

  #watch(label: string): { destroyed: ReadonlySet<number>; end: () => void } {
    const destroyed = new Set<number>()
    const uses = this.#underWay.get(label) ?? new Set()
    this.#underWay.set(label, uses.add(destroyed))
    const end = () => {
      uses.delete(destroyed)
      if (uses.size === 0) this.#underWay.delete(label)
    }
    return { destroyed, end }
  }
}

function choiceOf(label: string, id: number | undefined): KeyChoice {
  return id === undefined ? anyKey(label) : keyWithId(label, id)
}

function overtaken(label: string): Problem {
  return new Problem(
    'KEY_NOT_FOUND',
    `the key under key_label ${JSON.stringify(label)} was deleted or replaced while the request was under way`,
  )
}

function isAboutWhichKey(error: unknown): boolean {
  if (!(error instanceof Problem || error instanceof Pkcs11PoolError)) return false
  return error.code === 'KEY_NOT_FOUND' || error.code === 'KEY_AMBIGUOUS'
}

/** The token, or the search for the key, has answered; not: nobody knows. */
function saysSomethingOfTheKey(error: unknown): boolean {
  return isAboutWhichKey(error) || (error instanceof Pkcs11PoolError && error.code === 'CRYPTOKI')
}
