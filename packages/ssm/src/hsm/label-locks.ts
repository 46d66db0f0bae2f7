/** Lets one caller at a time change the keys under a label, in the order they came. Other labels are not held up. */
export class LabelLocks {
  readonly #tails = new Map<string, Promise<void>>()

  async run<T>(label: string, change: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(label) ?? Promise.resolve()
    const result = before.then(change)
    const tail = result.then(nothing, nothing)
    this.#tails.set(label, tail)
    try {
      return await result
    } finally {
      if (this.#tails.get(label) === tail) this.#tails.delete(label)
    }
  }
}

function nothing(): void {}
