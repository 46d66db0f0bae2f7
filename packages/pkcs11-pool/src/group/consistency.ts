import { type Clock, systemClock, type Timer } from '../internal/clock.js'
import { compareInventories, type Inventories } from './compare.js'
import { type Divergence, type Divergences, type KeyName, nameOf } from './divergence.js'
import { listKeys } from './inventory.js'
import type { Member } from './member.js'
import { coreOf } from './member-target.js'

/** What a comparison of the members' keys came to. */
export interface ConsistencyReport {
  /** when it was over */
  at: Date
  /** keys that are not the same on all members that were asked */
  divergences: readonly Divergence[]
  /** keys that several of them have by their names, and of which they tell too little to know whether they are the same */
  unproven: readonly KeyName[]
  /** members whose keys could not be listed */
  unasked: readonly string[]
}

/**
 * Compares the keys of the members: at an interval, and when a write went wrong. What differs is looked at a second time before it is
 * told, because it may have been a write that was under way.
 */
export class Consistency {
  readonly #members: readonly Member[]
  readonly #divergences: Divergences
  readonly #intervalMs: number
  readonly #clock: Clock
  #last: ConsistencyReport | undefined
  #underWay: Promise<ConsistencyReport> | undefined
  #again = false
  #timer: Timer | undefined
  #stopped = false

  constructor(members: readonly Member[], divergences: Divergences, intervalMs: number, clock: Clock = systemClock) {
    this.#members = members
    this.#divergences = divergences
    this.#intervalMs = intervalMs
    this.#clock = clock
  }

  /** The last comparison; undefined while there was none. */
  get last(): ConsistencyReport | undefined {
    return this.#last
  }

  /** Compares now, and from now on at the interval. */
  start(): void {
    if (this.#intervalMs === Number.POSITIVE_INFINITY || this.#stopped) return
    void this.check()
    this.#timer = this.#clock.setTimeout(() => this.start(), this.#intervalMs)
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  /** Something has changed that a comparison under way may not have seen. */
  recheck(): void {
    if (this.#stopped) return
    if (this.#underWay === undefined) void this.check()
    else this.#again = true
  }

  /** Who asks while a comparison is under way shares it. */
  check(): Promise<ConsistencyReport> {
    this.#underWay ??= this.#check().finally(() => {
      this.#underWay = undefined
      if (!this.#again) return
      this.#again = false
      this.recheck()
    })
    return this.#underWay
  }

  async #check(): Promise<ConsistencyReport> {
    let { inventories, unasked } = await this.#list()
    let { divergences, unproven } = compareInventories(inventories)
    if (divergences.length > 0) {
      const before = new Set(divergences.map(nameOf))
      ;({ inventories, unasked } = await this.#list())
      ;({ divergences, unproven } = compareInventories(inventories))
      divergences = divergences.filter((divergence) => before.has(nameOf(divergence)))
    }
    const report = { at: new Date(), divergences, unproven, unasked }
    if (this.#stopped) return report
    this.#last = report
    // Of a member that could not be asked, what was known of it stands.
    const isAboutUnasked = ({ on, missingOn }: Divergence): boolean =>
      [...on, ...missingOn].some((name) => unasked.includes(name))
    this.#divergences.replace([...divergences, ...this.#divergences.all.filter(isAboutUnasked)])
    return report
  }

  async #list(): Promise<{ inventories: Inventories; unasked: string[] }> {
    const inventories = new Map<string, Awaited<ReturnType<typeof listKeys>>>()
    const unasked: string[] = []
    await Promise.all(
      this.#members.map(async (member) => {
        try {
          if (!member.usable) unasked.push(member.name)
          else inventories.set(member.name, await listKeys(coreOf(member)))
        } catch {
          // Its own client's health has the reason.
          unasked.push(member.name)
        }
      }),
    )
    // In the order of the options, whoever answered first.
    const names = this.#members.map(({ name }) => name)
    const ordered = [...inventories].toSorted(([one], [other]) => names.indexOf(one) - names.indexOf(other))
    return { inventories: new Map(ordered), unasked: names.filter((name) => unasked.includes(name)) }
  }
}
