/** What a promise rejects with, to be looked at when the test gets there; that it does not reject is an error of its own. */
export function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => {
      throw new Error(`expected a rejection, got ${String(value)}`)
    },
    (reason: unknown) => reason,
  )
}
