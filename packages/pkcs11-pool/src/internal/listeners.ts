type Listener = (details: object) => void

/**
 * Who listens to what. What a listener throws reaches neither the call it was told of nor the other listeners: it becomes a process
 * warning, one a listener.
 */
export class Listeners {
  readonly #listeners = new Map<string, readonly Listener[]>()
  readonly #warned = new WeakSet<object>()
  readonly #owner: string
  readonly #warning: string

  /** `owner`: whose events they are, such as `client`; `warning`: the name of the process warning. */
  constructor(owner: string, warning: string) {
    this.#owner = owner
    this.#warning = warning
  }

  add(event: string, listener: Listener): void {
    this.#listeners.set(event, [...this.#of(event), listener])
  }

  /** Takes a listener off once; does nothing when it is not on. */
  remove(event: string, listener: Listener): void {
    const before = this.#of(event)
    const at = before.lastIndexOf(listener)
    if (at !== -1) this.#listeners.set(event, before.toSpliced(at, 1))
  }

  emit(event: string, details: object): void {
    // The array is never changed in place: a listener that adds or removes listeners does not disturb this round.
    for (const listener of this.#of(event)) {
      try {
        listener(details)
      } catch (error) {
        this.#warn(event, listener, error)
      }
    }
  }

  #of(event: string): readonly Listener[] {
    return this.#listeners.get(event) ?? []
  }

  #warn(event: string, listener: object, error: unknown): void {
    if (this.#warned.has(listener)) return
    this.#warned.add(listener)
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
    process.emitWarning(
      `a listener for the ${this.#owner} event "${event}" threw; the ${this.#owner} goes on: ${what}`,
      this.#warning,
    )
  }
}
