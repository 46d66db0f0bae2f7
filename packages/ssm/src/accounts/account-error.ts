/** An account could not be made or changed as asked. The message names it and the next step. */
export class AccountError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'AccountError'
  }
}
