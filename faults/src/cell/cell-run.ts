import type { Counters, Rule, RuleId } from 'pkcs11-chaos'
import { type Client, type ClientOptions, type ClientStats, Pkcs11PoolError } from 'pkcs11-pool'
import { type Cell, nameOf } from '../cells.js'
import { FAULTS } from '../faults.js'
import { loadFor } from '../functions.js'
import { MIX } from '../load/mix.js'
import type { LoadOperation } from '../load/operation.js'
import { CALL_MS, CLOSE_MS, CONNECT_MS, SLACK_MS, UNNAMED_MS } from '../settings.js'
import { checkFigures } from './figures.js'
import { type Outcome, Witness } from './witness.js'
import type { World } from './world.js'

/** Of one operation that is not of the mix. */
const MOST_CALLS = 5

/** One cell while it runs: its clients, its fault, and what is seen of it. */
export class CellRun {
  readonly witness = new Witness()
  readonly clients: Client[] = []
  readonly load: readonly LoadOperation[]
  #rule: RuleId | undefined
  /** how often the fault did something to a call */
  applied = 0
  /** of that, what rules did that are gone */
  #before = 0
  #started = 0

  constructor(
    readonly world: World,
    readonly cell: Cell,
  ) {
    this.load = loadFor(cell.fn)
  }

  /** A client, where one can be had. */
  async open(options: Partial<ClientOptions> = {}): Promise<Client | undefined> {
    const { value } = await this.witness.see('createClient', CONNECT_MS, this.world.open(options))
    if (value !== undefined) this.clients.push(value)
    return value
  }

  /** The fault, from now on; `once`: for the next call only. */
  async inject({ once = false } = {}): Promise<void> {
    const { fn, fault } = this.cell
    await this.#count()
    this.#before = this.applied
    const effect = FAULTS[fault]
    const times = once || fault === 'dropped' ? { times: 1 } : {}
    // A module that has the newer of the two ways to load it is asked in the older one only where the newer one fails.
    const newer: Rule[] =
      fn === 'C_GetFunctionList' ? [{ on: 'C_GetInterface', fail: 'CKR_FUNCTION_NOT_SUPPORTED' }] : []
    const [id] = await this.world.chaos.rules.set([{ on: fn, ...effect, ...times }, ...newer])
    this.#rule = id
  }

  /** No fault any more; resolves when calls that it held up have returned. */
  async lift(): Promise<void> {
    await this.#count()
    this.#rule = undefined
    await this.world.chaos.rules.clear()
    await this.until('calls that were held up return', ({ inFlight }) => inFlight === 0)
  }

  /** Resolves when the fault has met a call; false where none has come within `ms`. */
  async met(ms: number): Promise<boolean> {
    const until = performance.now() + ms
    do {
      await this.#count()
      if (this.applied > 0) return true
      await new Promise((resolve) => setTimeout(resolve, 5))
    } while (performance.now() < until)
    return false
  }

  /** One round of the load, or of some of it, all at once. */
  async round(client: Client, operations: readonly LoadOperation[] = this.load): Promise<Outcome[]> {
    checkFigures(client.stats(), this.witness)
    const attempts = await Promise.all(operations.map((operation) => this.attempt(client, operation)))
    checkFigures(client.stats(), this.witness)
    // Where everything is refused at once, rounds would follow on each other without the loop ever turning.
    await new Promise((resolve) => setImmediate(resolve))
    return attempts.map(({ outcome }) => outcome)
  }

  /** One operation of the load: bounded by a time of its own, by the client's options, or by a signal that aborts it, in turn. */
  async attempt(client: Client, operation: LoadOperation): Promise<{ outcome: Outcome; reason?: unknown }> {
    const how = this.#started % 3
    this.#started += 1
    const signal = how === 2 ? AbortSignal.timeout(CALL_MS / 2) : undefined
    const options = how === 0 ? { timeoutMs: CALL_MS } : { signal }
    const run = operation.run(this.world.subject(client, options))
    // Those of several calls have each call bounded.
    const each = how === 0 ? CALL_MS : UNNAMED_MS
    const limitMs = MIX.includes(operation) ? each : MOST_CALLS * UNNAMED_MS
    return this.witness.see(operation.name, limitMs, run, signal)
  }

  /** Waits for what the fault proxy counts; that it does not come is a leak. */
  async until(what: string, condition: (counters: Counters) => boolean, ms = SLACK_MS): Promise<boolean> {
    try {
      await this.world.chaos.waitFor(condition, { timeoutMs: ms })
      return true
    } catch {
      const now = await this.world.chaos.counters()
      const { open, lost } = now.sessions
      const told = `${now.inFlight} calls inside, ${open} sessions open, ${lost} lost; the fault met ${this.applied} calls`
      const figures = this.clients.map((client) => JSON.stringify(client.stats())).join('; ')
      this.witness.violated('sessions', `not within ${ms} ms: ${what} (${told}; ${figures})`)
      return false
    }
  }

  /** Closes a client, which stays within its time whatever happens. */
  async close(client: Client): Promise<void> {
    await this.witness.see('close', 2 * CLOSE_MS, client.close({ timeoutMs: CLOSE_MS }))
    checkClosed(client.stats(), this.witness)
    const refused = await client.generateRandom(1).catch((error: unknown) => error)
    if (!(refused instanceof Pkcs11PoolError) || refused.code !== 'POOL_CLOSED') {
      this.witness.violated('typed', `a closed client answered ${String(refused)}`)
    }
  }

  get name(): string {
    return nameOf(this.cell)
  }

  async #count(): Promise<void> {
    if (this.#rule === undefined) return
    const { rules } = await this.world.chaos.counters()
    const now = rules.find(({ id }) => id === this.#rule)?.applied ?? 0
    this.applied = this.#before + now
  }
}

function checkClosed(stats: ClientStats, witness: Witness): void {
  checkFigures(stats, witness)
  if (stats.state !== 'closed' || stats.waiting > 0) {
    witness.violated('stats', `after close: state ${stats.state}, ${stats.waiting} waiting`)
  }
}
