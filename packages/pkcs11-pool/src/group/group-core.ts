import type { OperationHost, OperationTraits } from '../crypto-operations.js'
import { BreakerOpenError, type ErrorCode, Pkcs11PoolError } from '../errors.js'
import { systemClock, type Timer } from '../internal/clock.js'
import { type CloseOptions, resolveCloseTimeout } from '../pool/index.js'
import type { OperationOptions } from '../session/call-context.js'
import type { KeyReference } from '../session/key-reference.js'
import { Divergences, missingKey } from './divergence.js'
import { GroupEmitter } from './events.js'
import { Failover, type UseOptions } from './failover.js'
import { Member } from './member.js'
import { MemberTarget } from './member-target.js'
import type { ResolvedGroupOptions } from './options.js'

/** Where members, failover and what is known of their keys meet: everything behind the façade of a group. */
export class GroupCore implements OperationHost {
  readonly members: readonly Member[]
  readonly emitter: GroupEmitter
  readonly divergences: Divergences
  readonly options: ResolvedGroupOptions
  failovers = 0
  readonly #failover: Failover<Member>
  #enough: (() => void) | undefined
  #grace: Timer | undefined
  #closing: Promise<{ abandoned: number }> | undefined

  /** @throws PIN_UNAVAILABLE */
  constructor(options: ResolvedGroupOptions) {
    this.options = options
    this.members = makeMembers(options, {
      connected: (member) => this.#connected(member),
      failed: (member, error, retryAt) => this.emitter.emit('connectFailed', { member: member.name, error, retryAt }),
    })
    this.emitter = new GroupEmitter(this.members)
    this.divergences = new Divergences((divergence) => this.emitter.emit('diverged', divergence))
    this.#failover = new Failover(this.members, options.nextMemberAfterMs, {
      refusal: () => this.#refusal(),
      failover: (member, error, next) => {
        this.failovers += 1
        this.emitter.emit('failover', { member: member.name, next: next.name, error })
      },
    })
  }

  get closed(): boolean {
    return this.#closing !== undefined
  }

  /**
   * Connects. Over when every member has had its first try; or, as soon as there are enough, after the time that a member gets before
   * another is asked: one that hangs does not hold up a group that works.
   *
   * @throws GROUP_UNAVAILABLE
   */
  async start(): Promise<void> {
    const enough = new Promise<void>((resolve) => {
      this.#enough = resolve
    })
    await Promise.race([Promise.all(this.members.map((member) => member.connect())), enough])
    this.#grace?.cancel()
    this.#enough = undefined
    if (this.#usable() >= this.options.minMembers) return
    const refusals = this.members.flatMap(({ refusal }) => refusal?.error ?? [])
    const error = new Pkcs11PoolError(
      'GROUP_UNAVAILABLE',
      `${this.#usable()} of ${this.members.length} members could be connected; expected ${this.options.minMembers} or more. ` +
        this.#describeRefusals(),
      { cause: refusals[0] },
    )
    await this.close({ timeoutMs: Math.max(...this.members.map(({ options }) => options.pool.createTimeoutMs)) })
    throw error
  }

  async run<R>(
    options: OperationOptions,
    call: (target: MemberTarget, options: OperationOptions) => Promise<R>,
    { key, usesUpKey = false }: OperationTraits = {},
    use: UseOptions<Member, R> = {},
  ): Promise<R> {
    this.checkOpen()
    if (usesUpKey && this.members.length > 1) throw usedUpTwice()
    const tried = use.tried ?? new Set()
    try {
      const { value, member, without } = await this.#failover.run(
        options,
        (member, bounds, hasNext) => call(new MemberTarget(member, hasNext), bounds),
        { ...use, tried },
      )
      if (key !== undefined && without.length > 0) this.missing(key, [member], without)
      return value
    } catch (error) {
      throw this.#notEverywhere(error, tried)
    }
  }

  /** A key was found on some members, and not on others. */
  missing(key: KeyReference, on: readonly Member[], without: readonly Member[]): void {
    const names = (members: readonly Member[]) => members.map(({ name }) => name)
    this.divergences.found(missingKey(key, names(on), names(without)))
  }

  /** @throws POOL_CLOSED */
  checkOpen(): void {
    if (this.closed) throw new Pkcs11PoolError('POOL_CLOSED', 'the group was closed; make a new one with createGroup')
  }

  close(options?: CloseOptions): Promise<{ abandoned: number }> {
    this.#closing ??= this.#close(resolveCloseTimeout(options))
    return this.#closing
  }

  async #close(timeoutMs: number): Promise<{ abandoned: number }> {
    const closed = await Promise.all(this.members.map((member) => member.close(timeoutMs)))
    return { abandoned: closed.reduce((sum, { abandoned }) => sum + abandoned, 0) }
  }

  #connected(member: Member): void {
    this.emitter.joined(member)
    this.emitter.emit('connected', { member: member.name })
    if (this.#enough === undefined || this.#grace !== undefined || this.#usable() < this.options.minMembers) return
    this.#grace = systemClock.setTimeout(this.#enough, this.options.nextMemberAfterMs)
  }

  #usable(): number {
    return this.members.filter(({ usable }) => usable).length
  }

  #describeRefusals(): string {
    return this.members
      .flatMap(({ name, refusal }) => (refusal === undefined ? [] : `${name}: ${refusal.error.message}`))
      .join('; ')
  }

  #refusal(): Pkcs11PoolError {
    const refusals = this.members.flatMap(({ refusal }) => refusal ?? [])
    const message = `no member of the group can be used now. ${this.#describeRefusals()}`
    const waits = refusals.flatMap(({ retryAt }) => retryAt ?? [])
    const [first] = refusals
    const isTried = refusals.some(({ error: { code } }) => code === 'BREAKER_OPEN')
    if (waits.length === 0 && !isTried) {
      const code: ErrorCode = first?.error.code ?? 'GROUP_UNAVAILABLE'
      return new Pkcs11PoolError(code, message, { cause: first?.error })
    }
    const soonest = waits.length === 0 ? Date.now() : Math.min(...waits.map((at) => at.getTime()))
    return new BreakerOpenError(message, { cause: first?.error, retryAt: new Date(soonest) })
  }

  /** That no member has a key is only known of those that could be asked. */
  #notEverywhere(error: unknown, tried: ReadonlySet<Member>): unknown {
    if (!(error instanceof Pkcs11PoolError) || error.code !== 'KEY_NOT_FOUND') return error
    const unasked = this.members.filter((member) => !tried.has(member)).map(({ name }) => name)
    if (unasked.length === 0) return error
    const message = `${error.message}. not asked, because they cannot be used now: ${unasked.join(', ')}`
    return new Pkcs11PoolError('KEY_NOT_FOUND', message, { cause: error })
  }
}

/** Each member would sign with the same of its key's one-time keys, and two signatures with one of them give the key away. */
export function usedUpTwice(): Pkcs11PoolError {
  return new Pkcs11PoolError(
    'INVALID_ARGUMENT',
    'each signature of this mechanism uses up a part of its key (PKCS#11 3.1, "HSS"), and with the same key on several tokens the same ' +
      'part would be used twice, which gives the key away; nothing was sent. keep such a key on one token, and use it by createClient',
  )
}

/** All, or none: what those before have taken is given back. */
function makeMembers(
  { members }: ResolvedGroupOptions,
  hooks: ConstructorParameters<typeof Member>[2],
): readonly Member[] {
  const made: Member[] = []
  try {
    for (const { name, options } of members) made.push(new Member(name, options, hooks))
    return made
  } catch (error) {
    for (const member of made) void member.close(0)
    throw error
  }
}
