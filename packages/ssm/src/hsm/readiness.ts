import { Pkcs11PoolError } from 'pkcs11-pool'
import { Problem } from '../problems/problem.js'
import type { Hsm } from './hsm.js'

/** How long an answer of the token is believed, in milliseconds: asking often must not load the token. */
const FRESH_MS = 1_000

/** Whether requests should be sent here: the token answers, and the service is not stopping. */
export class Readiness {
  readonly #hsm: Pick<Hsm, 'probe'>
  readonly #now: () => number
  #stopping = false
  #answeredAt = Number.NEGATIVE_INFINITY
  #asking: Promise<void> | undefined

  /** @param now milliseconds of a clock that never goes back */
  constructor(hsm: Pick<Hsm, 'probe'>, now: () => number = () => performance.now()) {
    this.#hsm = hsm
    this.#now = now
  }

  get stopping(): boolean {
    return this.#stopping
  }

  /** From now on the service is not ready, whatever the token says. */
  stop(): void {
    this.#stopping = true
  }

  /**
   * Resolves where the service is ready. Callers who ask while the token is being asked share its answer.
   *
   * @throws Problem HSM_UNAVAILABLE while stopping; the library's errors where the token does not answer
   */
  async check(): Promise<void> {
    if (this.#stopping) throw new Problem('HSM_UNAVAILABLE', 'the service is stopping')
    if (this.#now() - this.#answeredAt < FRESH_MS) return
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined
    })
    await this.#asking
  }

  async #ask(): Promise<void> {
    try {
      await this.#hsm.probe()
    } catch (error) {
      // every session at work is no sign of a token that is away
      if (!(error instanceof Pkcs11PoolError && error.code === 'QUEUE_FULL')) throw error
    }
    this.#answeredAt = this.#now()
  }
}
