import { describeSelector } from '../client-metrics.js'
import { type ClientOptions, type ResolvedClientOptions, resolveClientOptions } from '../client-options.js'
import { MAX_DELAY_MS } from '../internal/clock.js'
import { checkNames, invalidOption, resolveCount, resolveDelay } from '../pkcs11/option-values.js'

/** One token of a group. Its `retry` is for when no other member is left to be asked: what failed on one is made on the next. */
export interface GroupMemberOptions extends ClientOptions {
  /** What errors, events and figures call it; each another. @defaultValue the token's label or serial number, as in `token` */
  name?: string | undefined
}

/** What {@link createGroup} takes. */
export interface GroupOptions {
  /** The tokens, which hold the same keys; at least one. */
  members: readonly GroupMemberOptions[]
  /** How many have to be connected before the group is there. @defaultValue 1 */
  minMembers?: number | undefined
  /**
   * Milliseconds without an answer after which a member that has room is asked as well; whichever answers first counts. Of a caller's
   * `timeoutMs` at most each member's share. @defaultValue 500
   */
  nextMemberAfterMs?: number | undefined
  /**
   * How often the keys of the members are compared, the first time when the group is made; each time all keys of all members are
   * listed. Infinity: only when `checkConsistency` is called. @defaultValue 600_000
   */
  consistencyIntervalMs?: number | undefined
}

/** Options with every default filled in. */
export interface ResolvedGroupOptions {
  readonly members: readonly { readonly name: string; readonly options: ResolvedClientOptions }[]
  readonly minMembers: number
  readonly nextMemberAfterMs: number
  readonly consistencyIntervalMs: number
}

const NAMES = [
  'members',
  'minMembers',
  'nextMemberAfterMs',
  'consistencyIntervalMs',
] as const satisfies (keyof GroupOptions)[]

const DEFAULTS = { minMembers: 1, nextMemberAfterMs: 500, consistencyIntervalMs: 600_000 } as const

/** Listing all keys over and over would leave a token to nobody else. */
const LEAST_INTERVAL_MS = 10

/** @throws INVALID_OPTION naming the option, what was got and what is expected */
export function resolveGroupOptions(options: GroupOptions): ResolvedGroupOptions {
  checkNames('createGroup', options, NAMES)
  const { members, consistencyIntervalMs } = options
  if (!Array.isArray(members) || members.length === 0) {
    throw invalidOption('members', members, 'an array of the options of one client or more')
  }
  const resolved = members.map(resolveMember)
  checkDistinct(resolved)
  return {
    members: resolved,
    minMembers: resolveCount('minMembers', options.minMembers, DEFAULTS.minMembers, members.length),
    nextMemberAfterMs: resolveDelay('nextMemberAfterMs', options.nextMemberAfterMs, DEFAULTS.nextMemberAfterMs, 1),
    consistencyIntervalMs:
      consistencyIntervalMs === Number.POSITIVE_INFINITY
        ? consistencyIntervalMs
        : resolveInterval(consistencyIntervalMs ?? DEFAULTS.consistencyIntervalMs),
  }
}

function resolveInterval(value: number): number {
  if (typeof value === 'number' && value >= LEAST_INTERVAL_MS && value <= MAX_DELAY_MS) return value
  throw invalidOption(
    'consistencyIntervalMs',
    value,
    `milliseconds from ${LEAST_INTERVAL_MS} to ${MAX_DELAY_MS}, or Infinity`,
  )
}

function resolveMember(member: GroupMemberOptions, at: number): ResolvedGroupOptions['members'][number] {
  if (typeof member !== 'object' || member === null)
    throw invalidOption(`members[${at}]`, member, 'options of a client')
  const { name, ...rest } = member
  if (name !== undefined && (typeof name !== 'string' || name === '')) {
    throw invalidOption(`members[${at}].name`, name, 'a string that is not empty')
  }
  const options = resolveClientOptions(rest)
  return { name: name ?? describeSelector(options.token), options }
}

function checkDistinct(members: ResolvedGroupOptions['members']): void {
  const names = new Set<string>()
  const tokens = new Set<string>()
  for (const { name, options } of members) {
    if (names.has(name)) {
      throw invalidOption('members', name, 'a name for each member that no other has: give them `name`')
    }
    names.add(name)
    const token = JSON.stringify([options.module, Object.keys(options.token), describeSelector(options.token)])
    if (tokens.has(token)) {
      throw invalidOption('members', name, 'another token for each member: this one is a member already')
    }
    tokens.add(token)
  }
}
