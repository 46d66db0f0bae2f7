import type { PoolCore } from './core.js'

/** What the housekeeper does at each of its rounds. */
export function keepHouse<T>(core: PoolCore<T>, now: number, awakeSince: number): void {
  core.lastNow = now
  for (const entry of core.idle.toArray()) {
    if (now >= entry.expiresAt) core.retire(entry, 'lifetime')
  }
  trimIdle(core, now, awakeSince)
  if (core.tracing) reportLeaks(core, now, awakeSince)
  core.schedule()
}

/** Ends what has been idle too long, those unused longest first, down to `minSize`. */
export function trimIdle<T>(core: PoolCore<T>, now: number, awakeSince: number): void {
  for (let entry = core.idle.last; entry !== undefined && core.size > core.minSize; entry = core.idle.last) {
    if (now - Math.max(entry.idleSince, awakeSince) < core.options.idleTimeoutMs) return
    core.retire(entry, 'idle')
  }
}

function reportLeaks<T>(core: PoolCore<T>, now: number, awakeSince: number): void {
  for (const entry of core.inUse.toArray()) {
    const countedMs = now - Math.max(entry.acquiredAt, awakeSince)
    if (entry.leakReported || entry.validating || countedMs < core.options.leakThresholdMs) continue
    entry.leakReported = true
    core.counters.leaked += 1
    if (core.emitter.listeners.leak !== undefined) {
      const { resource, owner, trace, acquiredAt } = entry
      core.emitter.emit('leak', { resource, heldMs: now - acquiredAt, owner, acquiredAt: trace?.stack ?? '' })
    }
  }
}
