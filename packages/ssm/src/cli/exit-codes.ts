/** What the command's end means to whoever started it. */
export const EXIT = {
  /** done, or stopped as asked */
  OK: 0,
  /** something that may pass: the HSM is away, the address is taken */
  FAILURE: 1,
  /** wrong usage or configuration, a rejected PIN included: starting again changes nothing, and could lock the token */
  CONFIGURATION: 2,
  /** of `audit verify`, for which 1 is an audit that is not what was written: it could not be read, which says nothing of it */
  UNREAD: 3,
} as const
