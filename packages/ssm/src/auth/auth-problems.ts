import { Problem } from '../problems/problem.js'

const CHALLENGE = 'Bearer realm="ssm"'

/** No answer says more about why than these four: their `error` is the Go service's, which clients know. */
export const missingHeader = () =>
  new Problem('UNAUTHORIZED', 'the Authorization header is missing, expected: Bearer and a token from POST /login', {
    error: 'missing auth headers',
    headers: { 'www-authenticate': CHALLENGE },
  })

export const invalidToken = (cause?: unknown) =>
  new Problem('UNAUTHORIZED', 'the token is not valid, or not any more: log in again', {
    error: 'invalid or expired token',
    headers: { 'www-authenticate': `${CHALLENGE}, error="invalid_token"` },
    ...(cause !== undefined && { cause }),
  })

export const invalidUser = () =>
  new Problem('UNAUTHORIZED', 'there is no such account and password, or the account is disabled', {
    error: 'invalid user',
    headers: { 'www-authenticate': CHALLENGE },
  })

/** Of a connection that is open since before the roots changed. */
export const certificateNotBelieved = () =>
  new Problem(
    'UNAUTHORIZED',
    'the certificate of this connection is not believed any more: connect again with one that is',
    {
      error: 'invalid user',
      headers: { 'www-authenticate': CHALLENGE },
    },
  )

export const invalidOperation = () =>
  new Problem('FORBIDDEN', 'this account’s role may not do this', { error: 'invalid operation for the user' })

/** @param waitMs milliseconds until the next attempt may be made */
export const tooManyAttempts = (waitMs: number) => {
  const seconds = Math.max(1, Math.ceil(waitMs / 1000))
  return new Problem('RATE_LIMITED', `too many attempts to log in failed: try again in ${seconds} s`, {
    headers: { 'retry-after': String(seconds) },
  })
}

/** Of whomever: that says nothing of the account or its password. */
export const tooManyLogins = () =>
  new Problem('RATE_LIMITED', 'too many passwords are being checked already: try again in 1 s', {
    headers: { 'retry-after': '1' },
  })
