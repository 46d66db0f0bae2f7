import type { Client, Health } from 'pkcs11-pool'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

/** Seconds. Most sessions are handed out at once, and the longest wait is the acquire timeout. */
const WAIT_BUCKETS = [0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5]

const STATES = ['ok', 'degraded', 'down', 'locked'] as const satisfies readonly Health['state'][]

/** Adds what a client's health and events tell: its own figures hold only what it counts by itself. */
export function observeClient(registry: Registry, client: Client): void {
  const registers = [registry]
  const state = new Gauge({
    name: 'ssm_token_state',
    help: 'The state that the token is in is 1, the others 0.',
    labelNames: ['state'] as const,
    registers,
    collect() {
      const now = client.health().state
      for (const each of STATES) this.set({ state: each }, each === now ? 1 : 0)
    },
  })
  state.set({ state: 'ok' }, 0)
  const waits = new Histogram({
    name: 'ssm_session_wait_seconds',
    help: 'How long operations waited for a session.',
    buckets: WAIT_BUCKETS,
    registers,
  })
  const outages = new Counter({
    name: 'ssm_token_losses_total',
    help: 'How often the token, or all of its sessions, were gone.',
    registers,
  })
  client.on('acquired', ({ waitedMs }) => waits.observe(waitedMs / 1000))
  client.on('tokenLost', () => outages.inc())
}
