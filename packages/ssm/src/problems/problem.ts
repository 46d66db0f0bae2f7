/** The codes that clients switch on, with the status and the title of each. */
export const PROBLEMS = {
  INVALID_JSON: { status: 400, title: 'Invalid JSON' },
  VALIDATION_FAILED: { status: 400, title: 'Validation failed' },
  INVALID_HEX: { status: 400, title: 'Invalid hex' },
  UNSUPPORTED_ALGORITHM: { status: 400, title: 'Unsupported algorithm' },
  UNSUPPORTED_KEY_TYPE: { status: 400, title: 'Unsupported key type' },
  INVALID_KEY_TYPE: { status: 400, title: 'Invalid key type' },
  INVALID_KEY_SIZE: { status: 400, title: 'Invalid key size' },
  UNAUTHORIZED: { status: 401, title: 'Unauthorized' },
  AUTHENTICATION_FAILED: { status: 401, title: 'Authentication failed' },
  FORBIDDEN: { status: 403, title: 'Forbidden' },
  KEY_NOT_FOUND: { status: 404, title: 'Key not found' },
  NOT_FOUND: { status: 404, title: 'Not found' },
  METHOD_NOT_ALLOWED: { status: 405, title: 'Method not allowed' },
  KEY_EXISTS: { status: 409, title: 'Key exists' },
  KEY_AMBIGUOUS: { status: 409, title: 'Key is ambiguous' },
  PAYLOAD_TOO_LARGE: { status: 413, title: 'Payload too large' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, title: 'Unsupported media type' },
  RATE_LIMITED: { status: 429, title: 'Too many requests' },
  ENCRYPTION_ERROR: { status: 500, title: 'Encryption failed' },
  DECRYPTION_ERROR: { status: 500, title: 'Decryption failed' },
  KEY_GENERATION_ERROR: { status: 500, title: 'Key generation failed' },
  KEY_STORAGE_ERROR: { status: 500, title: 'Key storage failed' },
  KEY_UPDATE_ERROR: { status: 500, title: 'Key update failed' },
  KEY_DELETION_ERROR: { status: 500, title: 'Key deletion failed' },
  KEY_GET_ERROR: { status: 500, title: 'Key look-up failed' },
  KEY_CHANGE_UNAUDITED: { status: 500, title: 'Key changed, but not audited' },
  INTERNAL_ERROR: { status: 500, title: 'Internal error' },
  POOL_EXHAUSTED: { status: 503, title: 'No session available' },
  HSM_UNAVAILABLE: { status: 503, title: 'HSM unavailable' },
  AUDIT_UNAVAILABLE: { status: 503, title: 'Audit unavailable' },
  DATABASE_UNAVAILABLE: { status: 503, title: 'Database unavailable' },
  CREDENTIALS_REJECTED: { status: 503, title: 'Credentials rejected' },
  HSM_TIMEOUT: { status: 504, title: 'HSM timeout' },
} as const

export type ProblemCode = keyof typeof PROBLEMS

/** What a problem may carry beside its detail. */
export interface ProblemExtras {
  /** the error that led here: for the operator's log, never for the answer */
  cause?: unknown
  /** stands in the body's `error` for the code: only where clients know another text */
  error?: string
  headers?: Readonly<Record<string, string>>
}

/** An answer that says why not: thrown by routes and operations, sent as `application/problem+json` (RFC 9457). */
export class Problem extends Error {
  readonly code: ProblemCode
  readonly headers: Readonly<Record<string, string>>
  readonly #error: string

  constructor(code: ProblemCode, detail: string, extras: ProblemExtras = {}) {
    super(detail, 'cause' in extras ? { cause: extras.cause } : undefined)
    this.name = 'Problem'
    this.code = code
    this.#error = extras.error ?? code
    this.headers = extras.headers ?? {}
  }

  get status(): number {
    return PROBLEMS[this.code].status
  }

  /** The body of the answer to a request for `path`. */
  toBody(path: string): ProblemBody {
    const { status, title } = PROBLEMS[this.code]
    return { title, detail: this.message, status, instance: path, error: this.#error }
  }
}

/** The members of a problem's body. */
export interface ProblemBody {
  title: string
  detail: string
  status: number
  /** the path of the request, without its query */
  instance: string
  /** what clients switch on: the code, or for authentication the text that the Go service sent */
  error: string
}
