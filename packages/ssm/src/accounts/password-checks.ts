import { createHmac, randomBytes } from 'node:crypto'
import { passwordMatches } from './password.js'

/** Each check takes 32 MiB and one of libuv's four threads, which verifying tokens needs as well. */
const MAX_RUNNING = 2
const MAX_WAITING = 64

/** There are more checks waiting than there may be. */
export class TooManyChecks extends Error {}

/**
 * Compares passwords, few at a time. Those who ask the same at the same time share the answer: a client whose token has expired logs in with
 * everything it has under way.
 */
export class PasswordChecks {
  readonly #key = randomBytes(32)
  readonly #shared = new Map<string, Promise<unknown>>()
  readonly #waiting: (() => void)[] = []
  #running = 0

  /** Runs `check`, or shares the answer of one under way for the same name and password. */
  share<T>(serviceId: string, password: string, check: () => Promise<T>): Promise<T> {
    // the map's keys outlive the request for as long as the check runs, so no password is among them
    const key = createHmac('sha256', this.#key)
      .update(JSON.stringify([serviceId, password]))
      .digest('base64')
    const running = this.#shared.get(key)
    // under one key there is only what one caller of this method put there
    if (running !== undefined) return running as Promise<T>
    const result = check().finally(() => this.#shared.delete(key))
    this.#shared.set(key, result)
    return result
  }

  /** @throws TooManyChecks */
  async matches(password: string, stored: string): Promise<boolean> {
    await this.#begin()
    try {
      return await passwordMatches(password, stored)
    } finally {
      this.#end()
    }
  }

  async #begin(): Promise<void> {
    if (this.#running < MAX_RUNNING) {
      this.#running++
      return
    }
    if (this.#waiting.length >= MAX_WAITING) throw new TooManyChecks('too many passwords are being checked')
    await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  #end(): void {
    const next = this.#waiting.shift()
    // the turn goes to the next one directly
    if (next === undefined) this.#running--
    else next()
  }
}
