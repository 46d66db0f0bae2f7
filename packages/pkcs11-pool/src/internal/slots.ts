/**
 * Values by small numbers that are used again once their value is gone.
 *
 * A Map with ever new keys does the same and costs dear: each time it makes room it leaves its old table behind, which points to the
 * next one. Once one such table has grown old, the garbage collector's quick rounds keep all that came after it, until a full one.
 */
export class Slots<T> {
  readonly #values: (T | undefined)[] = []
  readonly #free: number[] = []

  /** Keeps a value; answers the number it has until it is removed. */
  add(value: T): number {
    const slot = this.#free.pop()
    if (slot === undefined) return this.#values.push(value) - 1
    this.#values[slot] = value
    return slot
  }

  /** The value there, or none. */
  at(slot: number): T | undefined {
    return this.#values[slot]
  }

  /** Frees a slot that has a value. */
  remove(slot: number): void {
    this.#values[slot] = undefined
    this.#free.push(slot)
  }
}
