/** What is looked at when a member is chosen. */
export interface Candidate {
  /** whether calls are sent to it now */
  readonly usable: boolean
  /** how much of it is taken */
  readonly load: number
}

/** Chooses the least loaded of those that can be used; those that are loaded alike take turns. */
export class Selection<M extends Candidate> {
  readonly #members: readonly M[]
  /** where the last use began */
  #last = 0

  constructor(members: readonly M[]) {
    this.#members = members
  }

  /** The next to ask, of those not tried yet and loaded less than `below`. */
  next(tried: ReadonlySet<M>, below = Number.POSITIVE_INFINITY): M | undefined {
    const count = this.#members.length
    let best: M | undefined
    let bestAt = this.#last
    let least = below
    for (let step = 1; step <= count; step += 1) {
      const at = (this.#last + step) % count
      const member = this.#members[at]
      if (member === undefined || !member.usable || tried.has(member)) continue
      const { load } = member
      // The first of those that are loaded alike, whatever their load; one that is too loaded never.
      if (load >= below || (best !== undefined && load >= least)) continue
      best = member
      bestAt = at
      least = load
    }
    if (tried.size === 0) this.#last = bestAt
    return best
  }

  /** Whether there is one that was not tried, usable or not. */
  isLeft(tried: ReadonlySet<M>): boolean {
    return tried.size < this.#members.length
  }

  /** How many can be used now. */
  get usable(): number {
    return this.#members.reduce((count, { usable }) => count + (usable ? 1 : 0), 0)
  }
}
