import type { PoolCore } from './core.js'

/**
 * Validates what is idle and was not known to be good for so long. What is good goes back as one that nobody has used: its idle time runs
 * on. Somebody who comes meanwhile waits for the validation rather than for a creation.
 */
export function probeIdle<T>(core: PoolCore<T>, unknownForMs: number): void {
  if (core.state !== 'open' || !core.validates) return
  const now = core.now()
  for (const entry of core.idle.toArray()) {
    // A synchronous validation may have changed the list.
    if (entry.list !== core.idle || now - entry.goodAt < unknownForMs) continue
    core.idle.remove(entry)
    core.inUse.addLast(entry)
    entry.probed = true
    core.validations.start(entry)
  }
}
