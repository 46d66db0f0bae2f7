/** What is told once that a signal has aborted. It must not throw: others are told after it. */
export interface AbortListener {
  handleEvent(): void
}

/**
 * The listeners of one signal, as one listener of the platform's. A signal that ends a whole request may be given to any number of
 * calls, and from the eleventh listener on the platform prints a warning of a leak; to raise its limit would be to change a signal
 * that is the caller's.
 */
class SharedListener {
  readonly listeners = new Set<AbortListener>()

  constructor(readonly signal: AbortSignal) {
    signal.addEventListener('abort', this)
  }

  /** A listener may take others off meanwhile: they are not told any more. */
  handleEvent(): void {
    for (const listener of this.listeners) listener.handleEvent()
    this.end()
  }

  end(): void {
    this.signal.removeEventListener('abort', this)
    shared.delete(this.signal)
  }
}

const shared = new WeakMap<AbortSignal, SharedListener>()

/** Tells `listener` when a signal that has not aborted yet does, those that came first before those that came later. */
export function addAbortListener(signal: AbortSignal, listener: AbortListener): void {
  let own = shared.get(signal)
  if (own === undefined) {
    own = new SharedListener(signal)
    shared.set(signal, own)
  }
  own.listeners.add(listener)
}

/** Takes a listener off; does nothing when it is not on. */
export function removeAbortListener(signal: AbortSignal, listener: AbortListener): void {
  const own = shared.get(signal)
  if (own?.listeners.delete(listener) && own.listeners.size === 0) own.end()
}
