import { BreakerOpenError, CryptokiError, type ErrorCategory, type ErrorCode, Pkcs11PoolError } from 'pkcs11-pool'
import { Problem, type ProblemCode } from './problem.js'

/** What the request was trying to do: the code for a failure that is nothing but its own. */
export type FailureCode = Extract<
  ProblemCode,
  | 'ENCRYPTION_ERROR'
  | 'DECRYPTION_ERROR'
  | 'AUTHENTICATION_FAILED'
  | 'KEY_GENERATION_ERROR'
  | 'KEY_STORAGE_ERROR'
  | 'KEY_UPDATE_ERROR'
  | 'KEY_DELETION_ERROR'
  | 'KEY_GET_ERROR'
  | 'INTERNAL_ERROR'
>

/** Seconds after which a client may try again while the HSM is away. */
const RETRY_AFTER = { headers: { 'retry-after': '1' } } as const

const FAILURES: Readonly<Record<FailureCode, string>> = {
  ENCRYPTION_ERROR: 'the token could not encrypt with this key',
  // one sentence for every cause: a caller must not learn whether it was padding, length or content
  DECRYPTION_ERROR: 'the data could not be decrypted with this key, algorithm and iv',
  AUTHENTICATION_FAILED: 'the tag does not verify: data, key, iv, tag or aad are not those of the encryption',
  KEY_GENERATION_ERROR: 'the token could not make the key',
  KEY_STORAGE_ERROR: 'the token did not take the key',
  KEY_UPDATE_ERROR: 'the token did not replace the key',
  KEY_DELETION_ERROR: 'the token did not delete the key',
  KEY_GET_ERROR: 'the token could not look the keys up',
  INTERNAL_ERROR: 'something went wrong here that is not your fault; the log of the service says what',
}

/** What the key is, rather than the data, decides these: they come before the token looks at any data. */
const ABOUT_THE_KEY: ReadonlySet<string> = new Set([
  'CKR_KEY_TYPE_INCONSISTENT',
  'CKR_KEY_FUNCTION_NOT_PERMITTED',
  'CKR_KEY_SIZE_RANGE',
])

/** What is refused for its data: one answer for every reason. */
const ABOUT_DATA: ReadonlySet<FailureCode> = new Set(['DECRYPTION_ERROR', 'AUTHENTICATION_FAILED'])

/** Where an error is in the token itself or on the way to it. */
const UNAVAILABLE: ReadonlySet<ErrorCategory> = new Set(['token', 'module', 'login', 'overload'])

/**
 * The answer for an error of the library. The library's own messages stay out of it, because they may name paths and handles:
 * they are for the log.
 */
export function problemFromLibrary(error: Pkcs11PoolError, failure: FailureCode): Problem {
  const extras = { cause: error }
  if (rejectedCredentials(error)) {
    return new Problem(
      'CREDENTIALS_REJECTED',
      'the token rejected the PIN, or none could be read, and it is not sent again: an operator must correct it and restart the service',
      { ...extras, headers: { 'retry-after': '60' } },
    )
  }
  switch (error.code satisfies ErrorCode) {
    case 'ACQUIRE_TIMEOUT':
      return new Problem(
        'POOL_EXHAUSTED',
        'timeout waiting for available connection: every session is in use; try again, or have the operator raise SSM_MAX_SESSIONS',
        { ...extras, ...RETRY_AFTER },
      )
    case 'QUEUE_FULL':
      return new Problem(
        'POOL_EXHAUSTED',
        'timeout waiting for available connection was certain: too many requests wait already; try again with less at once',
        { ...extras, ...RETRY_AFTER },
      )
    case 'OPERATION_TIMEOUT':
      return new Problem(
        'HSM_TIMEOUT',
        'the token did not answer in time; whether a write took effect is unknown: look before trying it again',
        extras,
      )
    case 'KEY_NOT_FOUND':
      return new Problem('KEY_NOT_FOUND', 'the key is not on the token, or not any more', extras)
    case 'KEY_AMBIGUOUS':
      return new Problem(
        'KEY_AMBIGUOUS',
        'several keys on the token have this label and id; remove all but one',
        extras,
      )
    case 'MECHANISM_NOT_SUPPORTED':
      return new Problem('UNSUPPORTED_ALGORITHM', 'the token does not offer this encryption_algorithm', extras)
    case 'CREATE_FAILED':
    case 'CREATE_TIMEOUT':
      return unavailable('failed to create connection: the HSM does not open sessions', error)
    case 'MODULE_LOAD_FAILED':
    case 'TOKEN_NOT_FOUND':
    case 'TOKEN_AMBIGUOUS':
    case 'TOKEN_NOT_INITIALIZED':
      return unavailable('failed to create connection: the token cannot be opened as configured', error)
    case 'BREAKER_OPEN':
      return new Problem(
        'HSM_UNAVAILABLE',
        'the HSM has failed and is left alone until its next try; try again later',
        {
          ...extras,
          headers: { 'retry-after': String(secondsUntilNextTry(error)) },
        },
      )
    case 'SESSION_LOST':
      return unavailable('the HSM lost the session that this was done in', error)
    case 'TOKEN_STALLED':
      return unavailable('the HSM does not return from earlier calls', error)
    case 'POOL_CLOSED':
      return unavailable('the service is stopping', error)
    case 'CRYPTOKI':
      return error instanceof CryptokiError
        ? fromCryptoki(error, failure)
        : new Problem(failure, FAILURES[failure], extras)
    default:
      return new Problem('INTERNAL_ERROR', FAILURES.INTERNAL_ERROR, extras)
  }
}

function fromCryptoki(error: CryptokiError, failure: FailureCode): Problem {
  if (ABOUT_THE_KEY.has(error.rvName)) {
    return new Problem('INVALID_KEY_TYPE', 'the key under this label is of another type, or not allowed to do this', {
      cause: error,
    })
  }
  // tokens answer FUNCTION_FAILED, DEVICE_ERROR and the like to bad padding and tags too: what C_Decrypt says is about the data,
  // whatever it says
  const aboutData = ABOUT_DATA.has(failure) && error.fn === 'C_Decrypt' && error.rvName !== 'CKR_DEVICE_REMOVED'
  if (UNAVAILABLE.has(error.category) && !aboutData) return unavailable('the HSM does not answer as it should', error)
  // before it has seen any data, a token cannot say that a tag is wrong
  const code = failure === 'AUTHENTICATION_FAILED' && !aboutData ? 'DECRYPTION_ERROR' : failure
  return new Problem(code, FAILURES[code], { cause: error })
}

/** Whole seconds, at least one. */
function secondsUntilNextTry(error: Pkcs11PoolError): number {
  const untilMs = error instanceof BreakerOpenError ? error.retryAt.getTime() - Date.now() : 0
  return Math.max(1, Math.ceil(untilMs / 1_000))
}

function unavailable(detail: string, cause: unknown): Problem {
  return new Problem('HSM_UNAVAILABLE', `${detail}; try again later`, { cause, ...RETRY_AFTER })
}

/** True where the error, or one that led to it, is about the PIN. */
function rejectedCredentials(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at instanceof Pkcs11PoolError && at.category === 'credentials') return true
  }
  return false
}
