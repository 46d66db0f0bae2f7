/** How many failed attempts in a row there are before the module is initialised again. */
const ENOUGH = 3

/** How many times in a row the token must not have answered before its sessions are given up, though nobody said that they have ended. */
const PATIENCE = 2

/**
 * When sessions are opened anew because the token does not answer in the old ones, and when a module is initialised again because its
 * token does not come back: some come back only so. Other clients of the module lose their sessions by it, so where there are any that
 * are well, it is done at the third time that the token could not be found and logged in, the sixth, the twelfth and so on; else at each
 * attempt from the fourth.
 */
export class Rebuilds {
  #looks = 0
  #failures = 0

  /** The token did not answer in the session that holds the login. @returns whether to give that up, and all others */
  unanswered(): boolean {
    this.#looks += 1
    return this.#looks >= PATIENCE
  }

  /** It could not be found and logged in. */
  failed(): void {
    this.#failures += 1
  }

  succeeded(): void {
    this.#looks = 0
    this.#failures = 0
  }

  /** What the next rebuild begins with. */
  get next(): 'as it is' | 'initialise unless shared' | 'initialise' {
    if (this.#failures >= ENOUGH && Number.isInteger(Math.log2(this.#failures / ENOUGH))) return 'initialise'
    return this.#looks + this.#failures >= ENOUGH ? 'initialise unless shared' : 'as it is'
  }
}
