import { Pkcs11PoolError } from 'pkcs11-pool'
import { Problem } from '../problems/problem.js'
import { ALONE, type Replicas } from '../replicas/replicas.js'
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
 *
 * Other processes may do the same with the same keys: then they tell, and wait until it is known here.
 */
export class LabelKeys {
  readonly #hsm: Pick<Hsm, 'findKeys' | 'destroyKey'>
  readonly #replicas: Replicas
  readonly #directory: KeyDirectory
  readonly #locks = new LabelLocks()
  /** for each use under way, by label: the ids of keys that have been destroyed since it began */
  readonly #underWay = new Map<string, Set<Set<number>>>()
  /** by label, the id of the key that is being destroyed: the token may have done it already, and refuse uses for whatever reason */
  readonly #goingAway = new Map<string, number>()

  /** @param replicas the other processes that change keys on the same token */
  constructor(hsm: Pick<Hsm, 'findKeys' | 'destroyKey' | 'forgetKeys'>, replicas: Replicas = ALONE) {
    this.#hsm = hsm
    this.#replicas = replicas
    this.#directory = new KeyDirectory(async (label) => visibleKeys(await hsm.findKeys(label)))
    replicas.follow({
      destroying: (label, id) => this.#overtake(label, id),
      changed: (label) => {
        this.#directory.forget(label)
        hsm.forgetKeys(label)
      },
      anything: () => {
        this.#directory.forgetAll()
        hsm.forgetKeys()
      },
    })
  }

  /**
   * Decrypts with the key that has the id, or with the only one where it is 0.
   *
   * @throws Problem KEY_NOT_FOUND, KEY_AMBIGUOUS, and whatever `work` throws
   */
  use<T>(label: string, id: number, work: (key: StoredKey) => Promise<T>): Promise<Used<T>> {
    return this.#watching([label], async ([destroyed = NONE]) => {
      let latest: StoredKey | undefined
      const [outcome] = await Promise.allSettled([
        this.#once(label, keyWithId(label, id), (key) => {
          latest = key
          return work(key)
        }),
      ])
      await this.#replicas.caughtUp()
      const isOvertaken = latest !== undefined && isGone(destroyed, latest, id)
      if (outcome.status === 'fulfilled' && !isOvertaken) return outcome.value
      if (outcome.status === 'rejected') {
        const mayBeGone = isOvertaken || (latest !== undefined && this.#goingAway.get(label) === latest.id)
        if (!mayBeGone || !saysSomethingOfTheKey(outcome.reason)) throw outcome.reason
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
    return this.#watching(labels, async (destroyedOf) => {
      const destroyed = new Map(labels.map((label, at) => [label, destroyedOf[at] ?? NONE]))
      const choices = await Promise.allSettled(
        wanted.map(async ({ label, id }, place) => {
          const { keys } = await this.#directory.list(label)
          return { place, key: choiceOf(label, id)(keys) }
        }),
      )
      const uses = choices.flatMap((choice) => (choice.status === 'fulfilled' ? [choice.value] : []))
      const results = await together(uses)
      await this.#replicas.caughtUp()
      const outcomes = new Map(uses.map(({ place }, at) => [place, results[at]]))
      return Promise.allSettled(
        wanted.map(async ({ label, id }, place) => {
          const choice = choices[place]
          const key = choice?.status === 'fulfilled' ? choice.value.key : undefined
          const outcome = choice?.status === 'rejected' ? choice : outcomes.get(place)
          const isDestroyed = (candidate: StoredKey) => isGone(destroyed.get(label) ?? NONE, candidate, id)
          const isOvertaken = key !== undefined && isDestroyed(key)
          const isGoing = key !== undefined && this.#goingAway.get(label) === key.id
          if (key !== undefined && outcome?.status === 'fulfilled' && !isOvertaken) return { key, value: outcome.value }
          const error: unknown = outcome?.status === 'rejected' ? outcome.reason : undefined
          const mayBeGone = (isOvertaken || isGoing) && saysSomethingOfTheKey(error)
          if (error !== undefined && !isAboutWhichKey(error) && !mayBeGone) return Promise.reject(error)
          if (isOvertaken && id !== undefined) throw overtaken(label)
          const again = (found: StoredKey) => alone({ place, key: found })
          if (id === undefined) return this.useAny(label, again)
          const used = await this.use(label, id, again)
          if (isDestroyed(used.key)) throw overtaken(label)
          return used
        }),
      )
    })
  }

  /** Makes an attempt, and makes it again where the key that it used has been destroyed meanwhile. */
  async untilNotDestroyed<R extends { key: StoredKey }>(label: string, attempt: () => Promise<R>): Promise<R> {
    for (let attempts = 0; attempts < FREE_ATTEMPTS; attempts++) {
      const done = await this.#attempt(label, attempt)
      if (done !== undefined) return done
    }
    const held = () => this.#replicas.exclusively(label, () => this.#attempt(label, attempt))
    const done = await this.#locks.run(label, held)
    // only where the lock was lost together with the other replicas
    if (done === undefined) throw overtaken(label)
    return done
  }

  /** Undefined where the key that was used has been destroyed meanwhile. */
  #attempt<R extends { key: StoredKey }>(label: string, attempt: () => Promise<R>): Promise<R | undefined> {
    return this.#watching([label], async ([destroyed = NONE]) => {
      const [outcome] = await Promise.allSettled([attempt()])
      await this.#replicas.caughtUp()
      if (outcome.status === 'fulfilled') return destroyed.has(outcome.value.key.id) ? undefined : outcome.value
      const mayBeGone = destroyed.size > 0 || this.#goingAway.has(label)
      if (!mayBeGone || !saysSomethingOfTheKey(outcome.reason)) throw outcome.reason
      return undefined
    })
  }

  /** Lets one caller at a time change the keys under a label. */
  change<T>(label: string, change: () => Promise<T>): Promise<T> {
    const changeAndTell = async () => {
      const [outcome] = await Promise.allSettled([change()])
      // also after a failure: whether a call that timed out took effect is unknown
      this.#directory.forget(label)
      if (outcome.status === 'fulfilled') {
        await this.#replicas.tellChanged(label)
        return outcome.value
      }
      await this.#replicas.tellChanged(label).catch(() => {})
      throw outcome.reason
    }
    return this.#locks.run(label, () => this.#replicas.exclusively(label, changeAndTell))
  }

  /** Destroys a key. Only for what has the label to itself, see {@link change}. */
  async destroy(key: StoredKey): Promise<void> {
    await this.#replicas.destroying(key.label, key.id, async () => {
      this.#goingAway.set(key.label, key.id)
      try {
        await this.#hsm.destroyKey(key)
      } finally {
        this.#goingAway.delete(key.label)
        this.#directory.forget(key.label)
        this.#overtake(key.label, key.id)
      }
    })
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

  /** What is under way with the key counts no more. */
  #overtake(label: string, id: number): void {
    for (const destroyed of this.#underWay.get(label) ?? []) destroyed.add(id)
  }

  /** Runs with what has been destroyed since it began under each label, when no other replica is changing keys under any of them. */
  async #watching<T>(
    labels: readonly string[],
    run: (destroyed: readonly ReadonlySet<number>[]) => Promise<T>,
  ): Promise<T> {
    for (;;) {
      const wait = this.#admission(labels)
      if (wait === undefined) break
      await wait
    }
    // nothing may come between admission and here
    const watches = labels.map((label) => this.#watch(label))
    try {
      return await run(watches.map(({ destroyed }) => destroyed))
    } finally {
      for (const { end } of watches) end()
    }
  }

  #admission(labels: readonly string[]): Promise<void> | undefined {
    for (const label of labels) {
      const wait = this.#replicas.admission(label)
      if (wait !== undefined) return wait
    }
    return undefined
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

const NONE: ReadonlySet<number> = new Set()

/** Where id 0 asked for the only key there is, that was another one if any has been destroyed meanwhile. */
function isGone(destroyed: ReadonlySet<number>, key: StoredKey, wantedId: number | undefined): boolean {
  return destroyed.has(key.id) || (wantedId === 0 && destroyed.size > 0)
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
  return isAboutWhichKey(error) || (error instanceof Pkcs11PoolError && ANSWERS.has(error.code))
}

const ANSWERS: ReadonlySet<string> = new Set(['CRYPTOKI', 'MECHANISM_NOT_SUPPORTED'])
