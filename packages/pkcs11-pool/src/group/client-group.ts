import type { BatchItem, BatchResult } from '../batch.js'
import type { Client } from '../client.js'
import type { CryptoClient } from '../crypto-client.js'
import { CryptoOperations } from '../crypto-operations.js'
import { Pkcs11PoolError } from '../errors.js'
import type { CloseOptions } from '../pool/index.js'
import { checkOptions, type OperationOptions } from '../session/call-context.js'
import { withCapture } from '../session/capture.js'
import { bounded, Deadline, nothingSent } from '../session/deadline.js'
import type { Session } from '../session/session.js'
import { checkFunction, leaseSession, runAndRelease } from '../session-leases.js'
import { runGroupBatch } from './batch.js'
import { Consistency, type ConsistencyReport } from './consistency.js'
import type { GroupEventName, GroupListener } from './events.js'
import { GroupCore } from './group-core.js'
import { GroupKeys } from './group-keys.js'
import { stillConnecting } from './member.js'
import { type GroupOptions, resolveGroupOptions } from './options.js'
import { type GroupHealth, type GroupStats, groupHealth, groupMetrics, groupStats } from './report.js'
import { Writes } from './writes.js'

/**
 * Several tokens with the same keys, used as one client. Made by {@link createGroup}.
 *
 * Uses of keys go to the least loaded member, and to the next where that fails; errors of the caller's are not tried twice. Writes go to all
 * members.
 */
export class ClientGroup extends CryptoOperations implements CryptoClient {
  readonly keys: GroupKeys
  readonly #core: GroupCore
  readonly #consistency: Consistency

  /** Use {@link createGroup}. */
  constructor(core: GroupCore) {
    super(core)
    const { members, divergences, options } = core
    this.#core = core
    this.#consistency = new Consistency(members, divergences, options.consistencyIntervalMs)
    this.keys = new GroupKeys(core, new Writes(members, () => this.#consistency.recheck()))
    this.#consistency.start()
  }

  /** Several operations on one session of one member, each settled on its own; those that failed on its side are made on the next. */
  batch(items: readonly BatchItem[], options: OperationOptions = {}): Promise<BatchResult[]> {
    return withCapture((capture) => runGroupBatch(this.#core, capture, items, options))
  }

  /**
   * Runs `fn` on one session of one member: until `fn` is called, other members are tried; after that, what fails is `fn`'s to handle.
   * Handles are that member's, and mean nothing, or another key, on others. Do not sign with keys that signatures use up (HSS, XMSS): no
   * such key may be on two tokens.
   */
  async withSession<R>(fn: (session: Session) => R | Promise<R>, options: OperationOptions = {}): Promise<R> {
    checkOptions(options)
    checkFunction(fn)
    const deadline = Deadline.of(options.timeoutMs)
    return runAndRelease(await this.#lease(options, deadline), fn, options.signal, deadline)
  }

  /** A session of one member, to be given back by `release`, or by `await using`. `timeoutMs` bounds the waiting for it. */
  acquire(options: OperationOptions = {}): Promise<Session> {
    return this.#lease(options, undefined)
  }

  /** The client of one member, for repairs: what is done with it is done on that member alone. @throws INVALID_ARGUMENT, and why it was never connected */
  member(name: string): Client {
    const found = this.#core.members.find((each) => each.name === name)
    if (found === undefined) {
      const known = this.#core.members.map((each) => each.name).join(', ')
      throw new Pkcs11PoolError('INVALID_ARGUMENT', `there is no member of this name; expected one of ${known}`)
    }
    if (found.client === undefined) throw found.failure ?? stillConnecting()
    return found.client
  }

  /**
   * Compares the keys of all members that can be reached now: class, label, id, type and size, and check value or public part where the
   * tokens tell them.
   */
  async checkConsistency(options: OperationOptions = {}): Promise<ConsistencyReport> {
    this.#core.checkOpen()
    checkOptions(options)
    const deadline = Deadline.of(options.timeoutMs)
    return bounded(
      this.#consistency.check(),
      options.signal,
      deadline,
      nothingSent('comparing the keys of the members'),
    )
  }

  stats(): GroupStats {
    return groupStats(this.#core.members, this.#core.failovers)
  }

  /** What calls, probes and comparisons have told about the members; nothing is sent to them. */
  health(): GroupHealth {
    return groupHealth(this.#core.members, this.#core.divergences.all, this.#consistency.last)
  }

  /** The figures of all members in Prometheus' text format, each with its `member`. */
  metrics(): string {
    return groupMetrics(this.#core.members, this.#core.failovers, this.#core.divergences.all.length)
  }

  /** @throws INVALID_ARGUMENT for an event there is not */
  on<N extends GroupEventName>(event: N, listener: GroupListener<N>): this {
    this.#core.emitter.on(event, listener)
    return this
  }

  /** @throws INVALID_ARGUMENT for an event there is not */
  off<N extends GroupEventName>(event: N, listener: GroupListener<N>): this {
    this.#core.emitter.off(event, listener)
    return this
  }

  /**
   * Closes every member, all at once, each as a client closes; members that are being connected are closed when they are. Bounded and
   * idempotent.
   */
  close(options: CloseOptions = {}): Promise<{ abandoned: number }> {
    this.#consistency.stop()
    return this.#core.close(options)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #lease(options: OperationOptions, deadline: Deadline | undefined): Promise<Session> {
    return this.#core.run(options, ({ core }, bounds) => leaseSession(core, bounds, deadline, options), undefined, {
      late: (session) => session.release(),
    })
  }
}

/**
 * Connects to several tokens that hold the same keys. Who cannot be connected now is tried again in the background, without another try of
 * a PIN that was rejected.
 *
 * @throws INVALID_OPTION, PIN_UNAVAILABLE, GROUP_UNAVAILABLE where fewer than `minMembers` could be connected
 * @example
 * ```ts
 * const module = '/usr/lib/softhsm/libsofthsm2.so'
 * const pin = { file: '/run/credentials/hsm-pin' }
 * const group = await createGroup({
 *   members: [
 *     { module, token: { label: 'east' }, pin },
 *     { module, token: { label: 'west' }, pin },
 *   ],
 * })
 * group.on('diverged', ({ label, on, missingOn }) => console.error(`${label} is on ${on}, not on ${missingOn}`))
 * const cipher = await group.encrypt({ label: 'k4', id: 1 }, { mechanism: 'CKM_AES_CBC_PAD', iv }, plain)
 * await group.close()
 * ```
 */
export async function createGroup(options: GroupOptions): Promise<ClientGroup> {
  const core = new GroupCore(resolveGroupOptions(options))
  await core.start()
  return new ClientGroup(core)
}
