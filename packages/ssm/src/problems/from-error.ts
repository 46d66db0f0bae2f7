import type { FastifyError } from 'fastify'
import { Pkcs11PoolError } from 'pkcs11-pool'
import { StoreError } from '../store/store-error.js'
import { type FailureCode, problemFromLibrary } from './from-library.js'
import { problemFromValidation } from './from-validation.js'
import { Problem } from './problem.js'

/** The answer for whatever was thrown while a request was served. */
export function problemFromError(error: unknown, failure: FailureCode): Problem {
  if (error instanceof Problem) return error
  if (error instanceof Pkcs11PoolError) return problemFromLibrary(error, failure)
  if (error instanceof StoreError) {
    const detail = 'accounts cannot be read at the moment; try again later'
    return new Problem('DATABASE_UNAVAILABLE', detail, { cause: error, headers: { 'retry-after': '1' } })
  }
  if (error instanceof Error && ('statusCode' in error || 'validation' in error))
    return fromFastify(error as FastifyError)
  return new Problem(
    'INTERNAL_ERROR',
    'something went wrong here that is not your fault; the log of the service says what',
    {
      cause: error,
    },
  )
}

function fromFastify(error: FastifyError): Problem {
  if (error.validation !== undefined) return problemFromValidation(error.validation)
  switch (error.code) {
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new Problem('UNSUPPORTED_MEDIA_TYPE', 'the body must be JSON; send it with content-type application/json')
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new Problem(
        'PAYLOAD_TOO_LARGE',
        'the body is too large, expected at most 16 KiB to log in, and else 1 MiB unless the operator allows more; encrypt large data under a ' +
          'key of your own',
      )
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return new Problem('INVALID_JSON', 'the body is empty, expected a JSON object')
    case 'FST_ERR_NOT_FOUND':
      return new Problem('NOT_FOUND', 'nothing answers this method')
    case 'FST_ERR_BAD_URL':
      return new Problem('NOT_FOUND', 'the path is not valid percent-encoded UTF-8, so nothing is there')
    default:
      break
  }
  // the parser's message quotes the body, so it is not repeated
  if (error.statusCode === 400) return new Problem('INVALID_JSON', 'the body is not valid JSON, expected a JSON object')
  return new Problem(
    'INTERNAL_ERROR',
    'something went wrong here that is not your fault; the log of the service says what',
    {
      cause: error,
    },
  )
}
