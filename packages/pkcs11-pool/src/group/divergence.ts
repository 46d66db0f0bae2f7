import { describeId, idBytes, type KeyClass, type KeyReference } from '../session/key-reference.js'

/** What differs between keys of the same class, label and id; `number`: how many there are. Values are not told. */
export type KeyDifference = 'number' | 'keyType' | 'sizeBits' | 'checkValue' | 'modulus' | 'curve' | 'point'

/** Which key. */
export interface KeyName {
  class: KeyClass | undefined
  label: string | undefined
  /** CKA_ID in hexadecimal, such as `0x00000001` */
  id: string | undefined
}

/** A key that is not the same on all members of a group. */
export interface Divergence extends KeyName {
  /** members that have it */
  on: readonly string[]
  /** members that have no such key */
  missingOn: readonly string[]
  /** what differs between those that have it; empty where they agree */
  differs: readonly KeyDifference[]
}

/** That a key which was asked for is on one member and not on others. */
export function missingKey(reference: KeyReference, on: readonly string[], missingOn: readonly string[]): Divergence {
  const { class: keyClass, label, id } = reference
  const shown = id === undefined ? undefined : describeId(idBytes(id))
  return { class: keyClass, label, id: shown, on, missingOn, differs: [] }
}

/** What tells divergences apart. */
export function nameOf(divergence: Divergence): string {
  const { class: keyClass, label, id, on, missingOn, differs } = divergence
  return JSON.stringify([keyClass, label, id, on, missingOn, differs])
}

/** How many are kept at most: a token that has lost all its keys has lost so many. */
const MOST_KEPT = 1_000

/** What is known to differ: told once each, until a check has found it alike. */
export class Divergences {
  #known = new Map<string, Divergence>()
  readonly #tell: (divergence: Divergence) => void

  constructor(tell: (divergence: Divergence) => void) {
    this.#tell = tell
  }

  get all(): Divergence[] {
    return [...this.#known.values()]
  }

  /** A call has come across one. */
  found(divergence: Divergence): void {
    const name = nameOf(divergence)
    if (this.#known.has(name) || this.#known.size >= MOST_KEPT) return
    this.#known.set(name, divergence)
    this.#tell(divergence)
  }

  /** A check has found these, and no others. */
  replace(divergences: readonly Divergence[]): void {
    const before = this.#known
    const kept = divergences.slice(0, MOST_KEPT).map((each) => [nameOf(each), each] as const)
    this.#known = new Map(kept)
    for (const [name, divergence] of this.#known) if (!before.has(name)) this.#tell(divergence)
  }
}
