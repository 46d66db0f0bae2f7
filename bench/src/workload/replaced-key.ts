/** When a key was deleted and made again under its label and id, in milliseconds of one clock; before it happens, never. */
export class ReplacedKey {
  #deleteSent = Number.POSITIVE_INFINITY
  #deleted = Number.POSITIVE_INFINITY
  #makeSent = Number.POSITIVE_INFINITY
  #made = Number.POSITIVE_INFINITY

  async delete(ask: () => Promise<unknown>): Promise<void> {
    this.#deleteSent = performance.now()
    await ask()
    this.#deleted = performance.now()
  }

  async make(ask: () => Promise<unknown>): Promise<void> {
    this.#makeSent = performance.now()
    await ask()
    this.#made = performance.now()
  }

  /** Whether a request sent then can have met the first key. */
  mayBeOld(sent: number): boolean {
    return sent <= this.#deleted
  }

  /** Whether a request answered then can have met the second key. */
  mayBeNew(answered: number): boolean {
    return answered >= this.#makeSent
  }

  /** Whether a request between these can have met neither. */
  mayBeMissing(sent: number, answered: number): boolean {
    return answered >= this.#deleteSent && sent <= this.#made
  }
}
