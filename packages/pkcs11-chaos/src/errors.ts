/** What a {@link ChaosError} may be about. */
export type ChaosErrorCode =
  /** an option or argument is not what it should be */
  | 'INVALID_OPTION'
  /** a rule is not what it should be */
  | 'INVALID_RULE'
  /** there is no rule with that id */
  | 'UNKNOWN_RULE'
  /** the module was not built when the package was installed */
  | 'NOT_BUILT'
  /** a process under test did not answer in time, or not as it should */
  | 'NO_ANSWER'
  /** a process under test could not do what it was told */
  | 'REFUSED'
  /** what was waited for did not come in time */
  | 'TIMEOUT'

/** Everything this package throws or rejects with, aborts aside. Switch on `code`; the message is for people. */
export class ChaosError extends Error {
  override readonly name = 'ChaosError'
  readonly code: ChaosErrorCode

  constructor(code: ChaosErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
