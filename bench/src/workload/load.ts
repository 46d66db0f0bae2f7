import { setTimeout as delay } from 'node:timers/promises'
import type { Core, Operation } from './core.js'
import type { Service } from './service.js'
import type { Tally } from './tally.js'

/** Answers that say the service has too much to do, or the token is away: no success, and not wrong. */
const BUSY: ReadonlySet<unknown> = new Set(['POOL_EXHAUSTED', 'HSM_UNAVAILABLE', 'HSM_TIMEOUT', 'RATE_LIMITED'])
const RETRY_MS = 200
/** Then the service cannot do what is asked of it at all. */
const MOST_TRIES = 150
const TICK_MS = 1

/** Sends operations and judges their answers. */
export class Load {
  /** what is wrong with answers; must stay empty */
  readonly wrong: string[] = []
  readonly #service: Service

  constructor(service: Service) {
    this.#service = service
  }

  /**
   * @param due when it should have been sent: what it waits for a machine that is late is part of its latency
   * @returns whether it was done, which a busy service leaves undone
   */
  async run({ kind, ask, judge }: Operation, tally: Tally, due = performance.now()): Promise<boolean> {
    const sent = performance.now()
    try {
      const answer = await this.#service.ask(ask)
      const answered = performance.now()
      const error = answer.status < 400 ? undefined : String(answer.body.error)
      tally.add(kind, answered - due, error)
      if (BUSY.has(error)) return false
      const wrong = judge(answer, sent, answered)
      if (wrong !== undefined) this.wrong.push(`${kind}: ${wrong}`)
      return true
    } catch (error) {
      tally.add(kind, performance.now() - due, 'NO_ANSWER')
      this.wrong.push(`${kind}: no answer: ${String(error)}`)
      return true
    }
  }

  /** Callers that each ask again as soon as they have their answer. */
  async closedLoop(core: Core, tally: Tally, callers: number, ms: number): Promise<void> {
    const until = performance.now() + ms
    const call = async () => {
      while (performance.now() < until) await this.run(core.next(), tally)
    }
    await Promise.all(Array.from({ length: callers }, call))
  }

  /** So many a second, whether or not earlier ones were answered, until it is told to stop and all are answered. */
  async openLoop(core: Core, rate: number, tallyNow: () => Tally | undefined): Promise<void> {
    const under: Promise<unknown>[] = []
    const begin = performance.now()
    for (let tally = tallyNow(); tally !== undefined; tally = tallyNow()) {
      for (
        let due = dueAt(begin, rate, under.length);
        due <= performance.now();
        due = dueAt(begin, rate, under.length)
      ) {
        under.push(this.run(core.next(), tally, due))
      }
      await delay(TICK_MS)
    }
    await Promise.all(under)
  }

  /** All of them, so many at a time, each again until it is done. */
  async storm(operations: Iterable<Operation>, tally: Tally, atOnce: number): Promise<void> {
    const left = operations[Symbol.iterator]()
    const call = async () => {
      for (let next = left.next(); next.done !== true; next = left.next()) {
        for (let tries = 1; !(await this.run(next.value, tally)); tries += 1) {
          if (tries === MOST_TRIES)
            throw new Error(`the service was too busy ${tries} times for one request of the rotation`)
          await delay(RETRY_MS)
        }
      }
    }
    await Promise.all(Array.from({ length: atOnce }, call))
  }
}

function dueAt(begin: number, rate: number, number: number): number {
  return begin + (number * 1_000) / rate
}
