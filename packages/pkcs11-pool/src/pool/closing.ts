import type { PoolCore } from './core.js'
import { poolClosed } from './errors.js'

/** Closes a pool that is open. What is out when the time is up is abandoned: counted, and still destroyed if it comes back. */
export function close<T>(core: PoolCore<T>, timeoutMs: number): Promise<{ abandoned: number }> {
  core.state = 'closing'
  const closed = new Promise<{ abandoned: number }>((resolve) => {
    const timer = core.clock.setTimeout(() => core.finishClose?.(), timeoutMs)
    core.finishClose = () => {
      core.finishClose = undefined
      timer.cancel()
      core.state = 'closed'
      const abandoned = core.outstanding + core.creations.stalled + core.destructions.stalled
      if (core.emitter.listeners.closed !== undefined) core.emitter.emit('closed', { abandoned })
      resolve({ abandoned })
    }
  })
  // Before anything that calls back: whoever closes again from there gets the same promise.
  core.closing = closed
  core.housekeeper.stop()
  core.backoff.clear()
  core.growth.stop()
  core.waiters.stopTimer()
  for (const waiter of core.waiters.takeAll()) waiter.reject(poolClosed('while this waited'))
  core.creations.abortAll(poolClosed('while a connection was being made'))
  core.retireIdle('closed')
  core.schedule()
  if (timeoutMs === 0) core.finishClose?.()
  return closed
}
