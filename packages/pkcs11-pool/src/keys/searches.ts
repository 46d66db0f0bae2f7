import type { ObjectHandle } from '../session/arguments.js'

type Search = Promise<ObjectHandle>

/**
 * The searches under way, by the name of what is looked for: whoever asks for the same joins.
 *
 * One that somebody has waited for in vain may hang in its session, so it is not joined any more and the next to ask begins a second
 * one, in a session of its own. Not a third: a token that is slow for everybody would be searched for one thing in all its sessions.
 */
export class Searches {
  readonly #joined = new Map<string, Search>()
  readonly #givenUp = new Map<string, Search>()

  /** The one to join. */
  underWay(name: string): Search | undefined {
    return this.#joined.get(name)
  }

  start(name: string, find: () => Search): Search {
    const search = find().finally(() => {
      // Another search of the same name may stand here by now.
      for (const searches of [this.#joined, this.#givenUp]) {
        if (searches.get(name) === search) searches.delete(name)
      }
    })
    this.#joined.set(name, search)
    return search
  }

  /** Somebody's time ran out while it was under way. */
  giveUp(name: string, search: Search): void {
    if (this.#joined.get(name) !== search || this.#givenUp.has(name)) return
    this.#joined.delete(name)
    this.#givenUp.set(name, search)
  }

  /** Nobody joins any of them any more: they may answer what was. */
  leave(): void {
    this.#joined.clear()
  }
}
