import { addAbortListener, removeAbortListener } from './abort-listeners.js'

/** Resolves after so many milliseconds, or rejects with the signal's reason. Somebody waits for it, so it keeps the process alive. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason)
      return
    }
    const listener = {
      handleEvent(): void {
        clearTimeout(timer)
        reject(signal?.reason)
      },
    }
    const timer = setTimeout(() => {
      if (signal !== undefined) removeAbortListener(signal, listener)
      resolve()
    }, ms)
    if (signal !== undefined) addAbortListener(signal, listener)
  })
}
