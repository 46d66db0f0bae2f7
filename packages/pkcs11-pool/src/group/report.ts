import type { ClientStats } from '../client.js'
import type { Health } from '../client-health.js'
import { clientMetrics, describeSelector } from '../client-metrics.js'
import { type Metric, type MetricSeries, toPrometheusText } from '../metrics/exposition.js'
import type { ConsistencyReport } from './consistency.js'
import type { Divergence } from './divergence.js'
import type { Member } from './member.js'

/** A group at one moment: sums over its members, and each of them. */
export interface GroupStats {
  maxSize: number
  currentSize: number
  available: number
  inUse: number
  waiting: number
  /** how often a use was made on another member, ever */
  failovers: number
  /** `stats` is undefined for one that was never connected */
  members: { name: string; stats: ClientStats | undefined }[]
}

/** How a member is, and whether uses are sent to it. */
export interface GroupMemberHealth {
  name: string
  usable: boolean
  state: Health['state']
  /** why it is not usable */
  reason: string | undefined
  /** when it is tried next, where it is not usable and that is known */
  retryAt: Date | undefined
  /** what its client tells; undefined where it was never connected */
  client: Health | undefined
}

/** How a group is. */
export interface GroupHealth {
  /**
   * `ok`: all members are, and their keys are the same; `down`: none can be used; `locked`: none can, for their PINs were rejected; else
   * `degraded`.
   */
  state: Health['state']
  members: GroupMemberHealth[]
  /** keys that are known not to be the same everywhere */
  divergences: readonly Divergence[]
  /** the last comparison of the members' keys; undefined before the first */
  lastCheck: ConsistencyReport | undefined
}

export function groupStats(members: readonly Member[], failovers: number): GroupStats {
  const each = members.map(({ name, client }) => ({ name, stats: client?.stats() }))
  const sum = (of: 'maxSize' | 'currentSize' | 'available' | 'inUse' | 'waiting'): number =>
    each.reduce((total, { stats }) => total + (stats?.[of] ?? 0), 0)
  return {
    maxSize: sum('maxSize'),
    currentSize: sum('currentSize'),
    available: sum('available'),
    inUse: sum('inUse'),
    waiting: sum('waiting'),
    failovers,
    members: each,
  }
}

export function groupHealth(
  members: readonly Member[],
  divergences: readonly Divergence[],
  lastCheck: ConsistencyReport | undefined,
): GroupHealth {
  const each = members.map(memberHealth)
  return { state: stateOf(each, divergences), members: each, divergences, lastCheck }
}

function memberHealth({ name, usable, client, refusal }: Member): GroupMemberHealth {
  const health = client?.health()
  const isRejected = refusal?.error.code === 'CREDENTIALS_REJECTED'
  return {
    name,
    usable,
    state: usable ? (health?.state ?? 'down') : isRejected ? 'locked' : 'down',
    reason: refusal?.error.message,
    retryAt: refusal?.retryAt,
    client: health,
  }
}

function stateOf(members: readonly GroupMemberHealth[], divergences: readonly Divergence[]): Health['state'] {
  if (members.every(({ state }) => state === 'locked')) return 'locked'
  if (members.every(({ usable }) => !usable)) return 'down'
  return divergences.length === 0 && members.every(({ state }) => state === 'ok') ? 'ok' : 'degraded'
}

/** The figures of all members, each with its name, and the group's own. */
export function groupMetrics(members: readonly Member[], failovers: number, divergences: number): string {
  const figure = (type: Metric['type'], name: string, help: string, value: number): Metric => ({
    name: `pkcs11_pool_group_${name}`,
    type,
    help,
    value,
  })
  const series = members.flatMap(({ name, client, options }): MetricSeries[] => {
    const labels = { member: name, token: describeSelector(options.token) }
    return client === undefined ? [] : [{ metrics: clientMetrics(client.stats(), client.health()), labels }]
  })
  const own = [
    figure('gauge', 'members', 'Members of the group.', members.length),
    figure('gauge', 'usable_members', 'Members that uses are sent to.', members.filter(({ usable }) => usable).length),
    figure('gauge', 'diverged_keys', 'Keys that are known not to be the same on all members.', divergences),
    figure('counter', 'failovers_total', 'Uses made on another member.', failovers),
  ]
  return toPrometheusText(...series, { metrics: own, labels: {} })
}
