/** How many times in a row a token could not be found and logged in again before its module is initialised again. */
const ENOUGH = 3

/**
 * When to initialise a module again because its token does not come back: some come back only so. Other clients of the module lose their
 * sessions by it, so where there are any, it is done at the third failure, the sixth, the twelfth and so on; else at each from the third.
 */
export class Rebuilds {
  #failures = 0

  failed(): void {
    this.#failures += 1
  }

  succeeded(): void {
    this.#failures = 0
  }

  /** What the next attempt begins with. */
  get next(): 'as it is' | 'initialise unless shared' | 'initialise' {
    if (this.#failures < ENOUGH) return 'as it is'
    return Number.isInteger(Math.log2(this.#failures / ENOUGH)) ? 'initialise' : 'initialise unless shared'
  }
}
