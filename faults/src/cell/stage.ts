import type { Client } from 'pkcs11-pool'
import { STALLING } from '../faults.js'
import type { MomentName } from '../moments.js'
import { CONNECT_MS, OPTIONS, POOL, SLACK_MS } from '../settings.js'
import type { CellRun } from './cell-run.js'

/** Brings a cell to its moment, and has the fault meet the load there. When it resolves, the fault is still on. */
export const STAGES: Record<MomentName, (run: CellRun) => Promise<void>> = {
  async start(run) {
    await run.inject()
    const client = await run.open()
    if (client !== undefined) await suffer(run, client)
  },

  async 'first-use'(run) {
    const client = await run.open({ pool: { ...POOL, minSize: 0 } })
    if (client === undefined) return
    await suffer(run, client)
  },

  async idle(run) {
    const client = await run.open()
    if (client === undefined) return
    await run.round(client)
    await run.inject()
    // Time for its own probes, two of them or more.
    await run.met(3 * OPTIONS.health.probeIntervalMs)
    await run.round(client)
  },

  async busy(run) {
    const client = await run.open()
    if (client === undefined) return
    await whileBusy(run, client, async () => {
      await run.round(client)
      await run.inject()
      await run.met(100)
      await run.round(client)
    })
  },

  async 'at-max'(run) {
    const client = await run.open()
    if (client === undefined) return
    await run.round(client)
    const lease = () => run.witness.see('acquire', POOL.acquireTimeoutMs, client.acquire())
    const leases = await Promise.all(Array.from({ length: POOL.maxSize }, lease))
    const waiting = [run.round(client), run.round(client)]
    await run.inject()
    for (const { value } of leases) value?.release()
    await Promise.all(waiting)
    await run.round(client)
  },

  async draining(run) {
    const client = await run.open()
    if (client === undefined) return
    await run.round(client)
    const inUse = [run.round(client), run.round(client)]
    await run.inject()
    client.reset()
    const pin = { file: run.world.token.pinFile }
    const during = run.round(client)
    await run.witness.see('setCredentials', CONNECT_MS, client.setCredentials({ pin }))
    await Promise.all([...inUse, during])
    await run.round(client)
  },

  async closing(run) {
    const client = await run.open()
    if (client === undefined) return
    await run.round(client)
    let closing: Promise<void> | undefined
    await whileBusy(run, client, async () => {
      await run.inject()
      const opens = run.cell.fn === 'C_OpenSession'
      if (opens) client.reset()
      // Who waits for a session when the client closes never calls anything: the fault would meet nobody.
      if (opens || run.load.some(({ calls }) => calls.includes(run.cell.fn))) await run.met(SLACK_MS)
      closing = run.close(client)
    })
    await closing
  },

  async recovering(run) {
    const client = await run.open()
    if (client === undefined) return
    await run.round(client)
    await run.inject()
    await run.world.chaos.dropSessions()
    await Promise.all([run.round(client), run.round(client)])
    await run.round(client)
  },

  async reinitialising(run) {
    const client = await run.open()
    if (client === undefined) return
    await run.round(client)
    await run.inject()
    await run.world.chaos.loseInitialization()
    await Promise.all([run.round(client), run.round(client)])
    await run.round(client)
  },
}

/** Two callers, each of whom begins another round when one is over. */
async function whileBusy(run: CellRun, client: Client, meanwhile: () => Promise<void>): Promise<void> {
  const over = new AbortController()
  const lane = async (): Promise<void> => {
    while (!over.signal.aborted) await run.round(client)
  }
  const lanes = [lane(), lane()]
  await meanwhile()
  over.abort()
  await Promise.all(lanes)
}

/** First one call fails, then each. What holds calls up does so from the first on. */
async function suffer(run: CellRun, client: Client): Promise<void> {
  if (!STALLING.has(run.cell.fault)) {
    await run.inject({ once: true })
    await run.round(client)
  }
  await run.inject()
  await run.round(client)
}
