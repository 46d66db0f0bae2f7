import type { Client, ClientEvents } from 'pkcs11-pool'
import { SAY_ENDED } from '../faults.js'
import { MIX } from '../load/mix.js'
import { OPTIONS, SLACK_MS } from '../settings.js'
import type { CellRun } from './cell-run.js'

/** How often an operation may fail after the fault is over: once by what the fault has left, once more by what that has left. */
const TRIES = 3

/** The fault is over: what a client owes its callers then. */
export async function checkService(run: CellRun, client: Client): Promise<void> {
  if (client.stats().state !== 'open') return
  if (client.health().state === 'locked') return checkLocked(run, client)
  if (!(await untilClosed(run, client))) return
  for (const operation of run.load) {
    let last = await run.attempt(client, operation)
    for (let tries = 1; last.outcome !== 'fulfilled' && tries < TRIES; tries += 1) {
      if (!(await untilClosed(run, client))) return
      last = await run.attempt(client, operation)
    }
    if (last.outcome !== 'fulfilled') {
      const how = `${operation.name} failed ${TRIES} times after the fault was over`
      run.witness.violated('service', `${how}, last with ${String(last.reason)}`)
    }
  }
  if (client.health().state === 'locked') return
  await checkAllAtOnce(run, client)
  await checkNothingLeft(run, client)
}

/** More callers than sessions: who waits has to be served by who gives back. */
async function checkAllAtOnce(run: CellRun, client: Client): Promise<void> {
  for (let tries = 1; tries <= TRIES; tries += 1) {
    const outcomes = await run.round(client, MIX)
    if (outcomes.every((outcome) => outcome === 'fulfilled')) return
  }
  run.witness.violated('service', `calls at once failed in ${TRIES} rounds after the fault was over`)
}

/** Service returns with the first probe that is sent after the fault is over; the one that was under way then may fail. */
async function untilClosed(run: CellRun, client: Client): Promise<boolean> {
  if (client.health().breaker.state === 'closed') return true
  const failures: string[] = []
  let stop: () => void = () => undefined
  const closed = await new Promise<boolean>((resolve) => {
    const timer = setTimeout(resolve, SLACK_MS, false)
    const listener = ({ state, cause }: ClientEvents['breaker']): void => {
      if (state === 'open') failures.push(String(cause))
      if (state === 'closed') resolve(true)
    }
    client.on('breaker', listener)
    stop = () => {
      clearTimeout(timer)
      client.off('breaker', listener)
    }
  })
  stop()
  if (!closed) run.witness.violated('service', `the breaker has not closed: ${JSON.stringify(client.health().breaker)}`)
  else if (failures.length > 1) {
    run.witness.violated('service', `${failures.length} probes failed after the fault was over: ${failures.join('; ')}`)
  }
  return closed
}

/** The PIN was rejected: nothing is sent any more, however often it is asked for, until an operator has acted. */
async function checkLocked(run: CellRun, client: Client): Promise<void> {
  const { chaos } = run.world
  const sent = async (): Promise<number> => {
    const { logins } = await chaos.counters()
    return logins.accepted + logins.already + logins.rejected + logins.failed
  }
  if (run.cell.fn !== 'C_Login') run.witness.violated('service', 'the PIN counts as rejected, which no login was')
  const before = await sent()
  const outcomes = await run.round(client)
  if (outcomes.includes('fulfilled')) run.witness.violated('service', 'a client whose PIN was rejected goes on')
  await new Promise((resolve) => setTimeout(resolve, 2 * OPTIONS.health.probeIntervalMs))
  if ((await sent()) !== before) run.witness.violated('login', 'a login was sent after the PIN was rejected')
}

/** Nothing is under way any more: every session that the token has open is one that the client knows. */
async function checkNothingLeft(run: CellRun, client: Client): Promise<void> {
  const outOfReach = await sessionsOutOfReach(run)
  const isQuiet = (): boolean => {
    const { waiting, inUse, creating, orphaned, destroying, engine } = client.stats()
    return waiting + inUse + creating + orphaned + destroying + engine.hung + engine.queued + engine.running === 0
  }
  await run.until(
    'every open session is one of the pool, or the one that holds the login',
    ({ sessions }) => isQuiet() && sessions.open - (client.stats().currentSize + 1) <= outOfReach,
  )
}

/**
 * Sessions that the library is right not to close before it finalises the module, because their handle may be another's by then: those of
 * which the module said that they are gone, and those that it refused to close while all were dropped.
 */
async function sessionsOutOfReach({ cell, world, applied }: CellRun): Promise<number> {
  const areGone = SAY_ENDED.has(cell.fault)
  if (cell.fn !== 'C_CloseSession') return areGone ? applied : 0
  const { functions } = await world.chaos.counters()
  return areGone || cell.moment === 'recovering' ? (functions.C_CloseSession?.failed ?? 0) : 0
}
