/** What the command's end means to whoever started it; `run` ends with its command's own status. */
export const EXIT = {
  OK: 0,
  /** a process under test did not answer, or could not do what it was told */
  FAILURE: 1,
  /** wrong usage: a command, option or rule that is none */
  USAGE: 2,
  /** `run --fail-on-misuse`: the command itself went well, but used PKCS#11 wrongly */
  MISUSE: 3,
  /** `run`: the command could not be started, as shells have it */
  NOT_STARTED: 127,
} as const

/** A command line that is none. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
