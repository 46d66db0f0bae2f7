import { ListNode } from '../internal/linked-list.js'

/** A resource in its place in the pool: what the allocation-free path hands out. Not to be touched once it was given back. */
export interface Entry<T> {
  readonly resource: T
}

/** Where a lease was acquired; V8 formats `stack` only when it is read. */
export interface Trace {
  stack: string
}

/**
 * The pool's side of an entry. It is in one of the pool's two lists, idle or in use, which is its state: in neither, it is gone
 * for good and is never used again.
 */
export class PoolEntry<T> extends ListNode<PoolEntry<T>> implements Entry<T> {
  readonly resource: T
  readonly generation: number
  readonly createdAt: number
  readonly expiresAt: number
  /** when it was last given back, or created */
  idleSince: number
  /** when it was last known to be good: given back, or validated */
  goodAt: number
  /** in use by its validation, by nobody else */
  validating = false
  /** its validation was asked for by nobody who wants to use it */
  probed = false
  acquiredAt = 0
  owner: string | undefined = undefined
  trace: Trace | undefined = undefined
  leakReported = false

  constructor(resource: T, generation: number, now: number, lifetimeMs: number) {
    super()
    this.resource = resource
    this.generation = generation
    this.createdAt = now
    this.expiresAt = now + lifetimeMs
    this.idleSince = now
    this.goodAt = now
  }
}
