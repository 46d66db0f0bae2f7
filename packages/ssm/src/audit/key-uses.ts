/** What operations of a batch did with one key, all with one outcome. */
interface KeyUse {
  /** the action of the route that does the same; `NONE` where there is no such operation */
  action: string
  keyLabel: string | null
  keyId: number | null
  /** the HTTP status that the route would have answered with */
  status: number
  /** the problem's code */
  error: string | null
}

export interface CountedUse extends KeyUse {
  count: number
}

/** Counts the uses of a batch that are the same, in the order in which the first of each came. */
export class KeyUses {
  readonly #counts = new Map<string, CountedUse>()
  #total = 0

  /** how many there were */
  get total(): number {
    return this.#total
  }

  add(use: KeyUse): void {
    this.#total++
    const { action, keyLabel, keyId, status, error } = use
    const name = JSON.stringify([action, keyLabel, keyId, status, error])
    const known = this.#counts.get(name)
    if (known === undefined) this.#counts.set(name, { ...use, count: 1 })
    else known.count++
  }

  counted(): Iterable<CountedUse> {
    return this.#counts.values()
  }
}
