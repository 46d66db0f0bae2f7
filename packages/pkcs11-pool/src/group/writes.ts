import { GroupDivergedError, type MemberOutcome, Pkcs11PoolError } from '../errors.js'
import { checkOptions, type OperationOptions } from '../session/call-context.js'
import { bounded, Deadline, nothingSent } from '../session/deadline.js'
import { hadNoEffect } from './verdict.js'

/** A member, as writes see it. */
interface Writable {
  readonly name: string
  readonly usable: boolean
  /** why it is not usable */
  readonly refusal: { readonly error: Pkcs11PoolError } | undefined
}

/** One write. */
export interface Write<M, R> {
  /** in words, for messages */
  readonly what: string
  /** does it on one member */
  on(member: M, options: OperationOptions): Promise<R>
  /** Looks which members it goes to, without a change to any. @defaultValue all of them */
  prepare?(options: OperationOptions): Promise<readonly M[]>
}

/**
 * Writes, which go to all members or to none, one write after the other: two of one key that overtook each other would leave members
 * with different keys. Within a write one member after the other, so that what is wrong with it shows on the first, before any other has
 * been touched. None is sent twice.
 */
export class Writes<M extends Writable> {
  readonly #members: readonly M[]
  readonly #unsettled: () => void
  #turn: Promise<void> = Promise.resolve()

  /** `unsettled`: a write ended with members that differ, or may. */
  constructor(members: readonly M[], unsettled: () => void) {
    this.#members = members
    this.#unsettled = unsettled
  }

  /**
   * Until it was done on one member, a write is bounded as its caller says. After that it is finished on the others though the caller is
   * gone, and each has its own client's time. `ended` runs when nothing of it is under way any more.
   *
   * @throws GROUP_INCOMPLETE, GROUP_DIVERGED, and what the first member said where no member was changed
   */
  async toAll<R>(write: Write<M, R>, options: OperationOptions, ended: () => void): Promise<R> {
    const { turn, done } = this.#takeTurn()
    const over = (): void => {
      done()
      ended()
    }
    const progress = new Progress(write.what, this.#members)
    let others: readonly M[]
    let rest: Promise<void>
    let value: R
    let deadline: Deadline | undefined
    const { signal } = options
    try {
      checkOptions(options)
      signal?.throwIfAborted()
      deadline = Deadline.of(options.timeoutMs)
      const left = (): OperationOptions => ({ signal, timeoutMs: deadline?.within(deadline.timeoutMs) })
      await bounded(turn, signal, deadline, nothingSent('waiting for other writes to the group'))
      this.#checkComplete(write.what)
      const [first, ...following] = (await write.prepare?.(left())) ?? this.#members
      if (first === undefined) throw new Pkcs11PoolError('INTERNAL', `${write.what} has no member to go to`)
      value = await this.#first(first, () => write.on(first, left()), progress)
      others = following
      rest = this.#others(others, write, progress).finally(over)
    } catch (error) {
      over()
      throw error
    }
    await bounded(rest, signal, deadline, () => progress.whileUnderWay(others))
    return value
  }

  async #first<R>(member: M, write: () => Promise<R>, progress: Progress): Promise<R> {
    try {
      const value = await write()
      progress.set(member, 'done', undefined)
      return value
    } catch (error) {
      if (hadNoEffect(error)) throw error
      progress.set(member, 'unknown', error)
      this.#unsettled()
      // Of an abort its caller hears the reason.
      throw error instanceof Pkcs11PoolError ? progress.error(error) : error
    }
  }

  async #others<R>(members: readonly M[], write: Write<M, R>, progress: Progress): Promise<void> {
    let failure: unknown
    for (const member of members) {
      try {
        await write.on(member, {})
        progress.set(member, 'done', undefined)
      } catch (error) {
        failure ??= error
        progress.set(member, hadNoEffect(error) ? 'not done' : 'unknown', error)
      }
    }
    if (failure === undefined) return
    this.#unsettled()
    throw progress.error(failure)
  }

  #checkComplete(what: string): void {
    const away = this.#members
      .filter(({ usable }) => !usable)
      .map(({ name, refusal }) => (refusal === undefined ? name : `${name} (${refusal.error.message})`))
    if (away.length === 0) return
    throw new Pkcs11PoolError(
      'GROUP_INCOMPLETE',
      `${what} goes to all ${this.#members.length} members of the group, and ${away.join(', ')} cannot be reached now; nothing was ` +
        'sent. try again when health() says that all are usable',
    )
  }

  /** `turn` resolves when all who came before are done. Whoever takes a turn says `done`, also where it has waited no longer. */
  #takeTurn(): { turn: Promise<void>; done: () => void } {
    const turn = this.#turn
    let done = (): void => undefined
    const mine = new Promise<void>((resolve) => {
      done = resolve
    })
    this.#turn = turn.then(() => mine)
    return { turn, done }
  }
}

/** What became of one write so far. */
class Progress {
  readonly #what: string
  readonly #outcomes: Map<string, MemberOutcome>

  constructor(what: string, members: readonly Writable[]) {
    this.#what = what
    this.#outcomes = new Map(
      members.map(({ name }) => [name, { member: name, outcome: 'not done', error: undefined } as const]),
    )
  }

  set({ name }: Writable, outcome: MemberOutcome['outcome'], error: unknown): void {
    this.#outcomes.set(name, { member: name, outcome, error })
  }

  /** Its caller's time is over, and it goes on: those `to` whom it goes may have done it by the time that the caller looks. */
  whileUnderWay(to: readonly Writable[]): GroupDivergedError {
    const names = new Set(to.map(({ name }) => name))
    const outcomes = [...this.#outcomes.values()].map((each): MemberOutcome => {
      const isOpen = each.outcome === 'not done' && each.error === undefined && names.has(each.member)
      return isOpen ? { ...each, outcome: 'unknown' } : each
    })
    return this.#describe(outcomes, undefined)
  }

  error(cause: unknown): GroupDivergedError {
    return this.#describe([...this.#outcomes.values()], cause)
  }

  #describe(outcomes: readonly MemberOutcome[], cause: unknown): GroupDivergedError {
    const named = (wanted: MemberOutcome['outcome']): string =>
      outcomes
        .filter(({ outcome }) => outcome === wanted)
        .map(({ member, error }) => (error instanceof Error ? `${member} (${error.message})` : member))
        .join(', ')
    const parts = [
      ['was done on', named('done')],
      ['was not done on', named('not done')],
      ['may have been done on', named('unknown')],
    ].flatMap(([says, members]) => (members === '' ? [] : `${says} ${members}`))
    return new GroupDivergedError(
      `${this.#what} ${parts.join('; ')}. do it by hand where it is missing, or undo it where it was done (group.member(name).keys), ` +
        'and see by checkConsistency() that all members are alike',
      { outcomes, cause },
    )
  }
}
