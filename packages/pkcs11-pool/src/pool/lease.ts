import { Pkcs11PoolError } from '../errors.js'
import type { Entry } from './entry.js'
import type { DestroyReason } from './factory.js'

/** What a lease needs of its pool. */
export interface LeaseHome<T> {
  releaseEntry(entry: Entry<T>): void
  destroyEntry(entry: Entry<T>, reason?: DestroyReason): void
}

/** The right to use one resource, until it is released. `using` and `await using` release it at the end of the block. */
export class Lease<T> {
  readonly #home: LeaseHome<T>
  #entry: Entry<T> | undefined

  constructor(home: LeaseHome<T>, entry: Entry<T>) {
    this.#home = home
    this.#entry = entry
  }

  /** @throws SESSION_RELEASED after release */
  get resource(): T {
    if (this.#entry === undefined) throw released('used')
    return this.#entry.resource
  }

  /** Gives the resource back. @throws SESSION_RELEASED the second time */
  release(): void {
    const entry = this.#entry
    if (entry === undefined) throw released('released')
    this.#entry = undefined
    this.#home.releaseEntry(entry)
  }

  /** Gives the resource back as one that is not to be used again. @throws SESSION_RELEASED after release */
  destroy(reason: DestroyReason = 'discarded'): void {
    const entry = this.#entry
    if (entry === undefined) throw released('destroyed')
    this.#entry = undefined
    this.#home.destroyEntry(entry, reason)
  }

  /** Releases, unless that was done by hand. */
  [Symbol.dispose](): void {
    if (this.#entry !== undefined) this.release()
  }

  /** Releases, unless that was done by hand. */
  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]()
  }
}

export function released(what: string): Pkcs11PoolError {
  return new Pkcs11PoolError(
    'SESSION_RELEASED',
    `this lease was released already and cannot be ${what} again; keep each use between its acquire and its one release`,
  )
}
