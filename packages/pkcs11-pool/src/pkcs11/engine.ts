import { Pkcs11PoolError } from '../errors.js'
import { addAbortListener, removeAbortListener } from '../internal/abort-listeners.js'
import { Slots } from '../internal/slots.js'
import { binding } from './binding.js'
import { cryptokiError } from './cryptoki-error.js'
import { type NativeEngine, type NativeEngineStats, Operation, Outcome } from './protocol.js'

/** What all sessions have in common that were opened since they were last dropped together. */
export interface Era {
  /** they were dropped: none of them is used again */
  ended: boolean
}

/** A session of the engine's, and what runs in it. */
export class EngineSession {
  /** calls submitted and not yet back, those whose caller has given up waiting included */
  pending = 0
  /** a call in it never came back: the engine closes it should the call return */
  hangs = false
  /** called each time `pending` falls to 0 */
  onIdle: (() => void) | undefined
  /** told of each call in it that failed, also when its caller has given up waiting, and before `pending` falls */
  onFailure: ((error: Pkcs11PoolError) => void) | undefined

  constructor(
    readonly id: number,
    readonly era: Era = { ended: false },
  ) {}

  /** It is not used again, and not closed from here: a call hangs in it, or it was dropped with all others. */
  get lost(): boolean {
    return this.hangs || this.era.ended
  }
}

/** A call that failed, for those who want to know what that shows. */
export interface FailedCall {
  /** its place among all calls made, see {@link isAfter} */
  readonly number: number
  readonly operation: Operation
  readonly session: EngineSession | undefined
}

/** Hears how one call ends, also where its caller has gone: one of the three, once; `returned` too where one that hangs returns after all. */
export interface CallWatch {
  /** nothing of it has reached the module */
  notSent(): void
  /** with its CK_RV, which was that of `fn` */
  returned(rv: number, fn: string): void
  /** it was given up inside the module */
  hangs(): void
}

/** How one call is bounded, and what its errors say. */
export interface CallOptions {
  /** milliseconds from now until the promise rejects, come what may; 0 is at once, Infinity never */
  timeoutMs: number
  signal?: AbortSignal | undefined
  /** what the call is about, for messages: never a secret. Only asked for when one is written */
  about?: (() => string) | undefined
  watch?: CallWatch | undefined
}

interface Job {
  readonly number: number
  readonly operation: Operation
  readonly session: EngineSession | undefined
  readonly call: CallOptions
  readonly resolve: (value: unknown) => void
  readonly reject: (reason: unknown) => void
  stopListening: (() => void) | undefined
}

const OPERATION_NAMES = new Map<Operation, string>(
  Object.entries(Operation).map(([name, operation]) => [operation, name.toLowerCase().replaceAll('_', ' ')]),
)

/** Operations whose answer is bytes and nothing else. */
const ANSWERS_BYTES: ReadonlySet<Operation> = new Set([
  Operation.ENCRYPT,
  Operation.DECRYPT,
  Operation.SIGN,
  Operation.DIGEST,
  Operation.WRAP_KEY,
  Operation.GENERATE_RANDOM,
])

/** What the addon takes; sessions beyond it wait for a thread. */
const MOST_THREADS = 4_096

/**
 * The engine as promises: one a hop, settled by its deadline whatever the module does.
 */
export class Engine {
  readonly #native: NativeEngine
  readonly #jobs = new Slots<Job>()
  /** told of each call that failed, also when nobody waits for it any more, and before its promise rejects */
  onFailure: ((error: Pkcs11PoolError, call: FailedCall) => void) | undefined
  /** of the sessions that are opened now */
  era: Era = { ended: false }
  #lastCall = 0
  #maxThreads = 0
  #disposed = false

  constructor() {
    this.#native = new binding.Engine((batch) => this.#complete(batch))
  }

  /**
   * Runs one operation; see the table of {@link Operation} for arguments and answers.
   *
   * @throws CRYPTOKI and its kin for a CK_RV; OPERATION_TIMEOUT at the deadline, of category `overload` when nothing had reached
   * the token and `token` when the call hangs; TOKEN_STALLED, POOL_CLOSED, INVALID_ARGUMENT; the signal's reason on abort
   */
  run(
    operation: Operation,
    session: EngineSession | undefined,
    call: CallOptions,
    ...args: unknown[]
  ): Promise<unknown> {
    const { signal, watch } = call
    if (signal?.aborted) {
      watch?.notSent()
      return Promise.reject(signal.reason)
    }
    return new Promise((resolve, reject) => {
      // The native engine has no way left to answer.
      if (this.#disposed) {
        watch?.notSent()
        reject(closedBefore(nameOf(operation, call)))
        return
      }
      this.#lastCall = (this.#lastCall + 1) >>> 0
      const job: Job = { number: this.#lastCall, operation, session, call, resolve, reject, stopListening: undefined }
      const slot = this.#jobs.add(job)
      try {
        this.#native.submit(slot, operation, session?.id ?? 0, call.timeoutMs, ...args)
      } catch (error) {
        this.#jobs.remove(slot)
        watch?.notSent()
        reject(notSubmitted(error))
        return
      }
      if (session !== undefined) session.pending += 1
      if (signal !== undefined) this.#listen(signal, slot, job)
    })
  }

  /** The number of the last call that was made. */
  get lastCall(): number {
    return this.#lastCall
  }

  /**
   * All sessions have ended, or are to: none of them is used again from this moment on, what the module still has of them is closed, and
   * a call that is inside one is the last. Those opened later are not touched.
   */
  async dropSessions(call: CallOptions): Promise<void> {
    this.era.ended = true
    this.era = { ended: false }
    await this.run(Operation.DROP_SESSIONS, undefined, call)
  }

  /** How many threads may run calls at once, up to 4096; hanging ones are not counted. */
  setMaxThreads(count: number): void {
    this.#maxThreads = Math.min(count, MOST_THREADS)
    this.#native.setMaxThreads(this.#maxThreads)
  }

  /** How many may; 0 where that was left to the engine. */
  get maxThreads(): number {
    return this.#maxThreads
  }

  stats(): NativeEngineStats {
    return this.#native.stats()
  }

  /** Ends the threads once they are idle. Sessions that are still open are closed behind it, without anybody waiting. */
  dispose(): void {
    this.#disposed = true
    this.#native.dispose()
  }

  /** A job that has not started is taken back at no cost; one that has goes on without its caller, and keeps its session until then. */
  #listen(signal: AbortSignal, slot: number, job: Job): void {
    const handleEvent = (): void => {
      job.reject(signal.reason)
      job.stopListening?.()
      if (!this.#native.cancel(slot)) return
      this.#jobs.remove(slot)
      job.call.watch?.notSent()
      leave(job)
    }
    const listener = { handleEvent }
    addAbortListener(signal, listener)
    job.stopListening = () => removeAbortListener(signal, listener)
  }

  #complete(batch: unknown[]): void {
    for (let at = 0; at < batch.length; at += 4) {
      this.#completeOne(batch[at] as number, batch[at + 1] as number, batch[at + 2] as number, batch[at + 3])
    }
  }

  #completeOne(slot: number, rv: number, fn: number, value: unknown): void {
    const job = this.#jobs.at(slot)
    if (job === undefined) return
    if (rv === Outcome.LATE) {
      this.#jobs.remove(slot)
      job.call.watch?.returned(Number(value), functionName(fn))
      return
    }
    job.stopListening?.()
    tell(job.call.watch, rv, fn)
    // Its slot stays taken: should the call ever return, that completes it once more, late.
    if (rv === Outcome.ABANDONED) this.#abandon(job)
    else this.#jobs.remove(slot)
    // Of a batch that hangs, the items that are finished are answers: it is for its caller to tell them from the others.
    if (rv === 0 || (rv === Outcome.ABANDONED && Array.isArray(value))) job.resolve(this.#answer(job.operation, value))
    else this.#fail(job, failure(job, rv, functionName(fn), value))
    leave(job)
  }

  #fail(job: Job, error: Pkcs11PoolError): void {
    job.session?.onFailure?.(error)
    this.onFailure?.(error, { number: job.number, operation: job.operation, session: job.session })
    job.reject(error)
  }

  #answer(operation: Operation, value: unknown): unknown {
    if (typeof value !== 'number' || !ANSWERS_BYTES.has(operation)) return value
    const place = Math.floor(value / 128)
    const bytes = Buffer.alloc(value % 128)
    const { outbox } = this.#native
    for (let at = 0; at < bytes.length; at += 1) bytes[at] = outbox[place + at] as number
    return bytes
  }

  #abandon({ session }: Job): void {
    if (session !== undefined) session.hangs = true
  }
}

/** The name of the function a completion came from. */
export function functionName(index: number): string {
  return binding.functionNames[index] ?? ''
}

/** Whether a call was made after another; numbers begin anew after the largest. */
export function isAfter(number: number, other: number): boolean {
  return (number - other) >>> 0 < 0x8000_0000 && number !== other
}

/** Of a call that was not late: an {@link Outcome} in the place of its CK_RV is negative. */
function tell(watch: CallWatch | undefined, rv: number, fn: number): void {
  if (rv === Outcome.ABANDONED) watch?.hangs()
  else if (rv < 0) watch?.notSent()
  else watch?.returned(rv, functionName(fn))
}

function leave(job: Job): void {
  const { session } = job
  if (session === undefined) return
  session.pending -= 1
  if (session.pending === 0) session.onIdle?.()
}

function operationName(operation: Operation): string {
  return OPERATION_NAMES.get(operation) ?? 'call'
}

function nameOf(operation: Operation, call: CallOptions): string {
  const about = call.about?.()
  const name = operationName(operation)
  return about === undefined ? name : `${name} of ${about}`
}

function closedBefore(what: string): Pkcs11PoolError {
  return new Pkcs11PoolError('POOL_CLOSED', `${what} was not sent: the client is closed`)
}

function notSubmitted(error: unknown): Pkcs11PoolError {
  const reason = error instanceof Error ? error.message : String(error)
  return new Pkcs11PoolError('INVALID_ARGUMENT', `the call was not sent: ${reason}`, { cause: error })
}

function failure(job: Job, rv: number, fn: string, value: unknown): Pkcs11PoolError {
  const { timeoutMs } = job.call
  const what = nameOf(job.operation, job.call)
  switch (rv) {
    case Outcome.EXPIRED:
      return new Pkcs11PoolError(
        'OPERATION_TIMEOUT',
        `${what} did not get its turn within ${timeoutMs} ms; nothing reached the token, so it is safe to try again`,
        { category: 'overload' },
      )
    case Outcome.ABANDONED:
      return new Pkcs11PoolError(
        'OPERATION_TIMEOUT',
        `${what} did not return from the module within ${timeoutMs} ms; whether it took effect is unknown. its session is given up`,
      )
    case Outcome.STALLED:
      return new Pkcs11PoolError(
        'TOKEN_STALLED',
        `${what} was not sent: as many calls hang inside the module as the engine has threads to lose. check the HSM`,
      )
    case Outcome.DISPOSED:
      return closedBefore(what)
    case Outcome.UNSETTLED:
      return new Pkcs11PoolError(
        'TOKEN_STALLED',
        `${what} was not sent: a C_Initialize or C_Finalize of the module, called for another client of this process, has not returned, and nobody ` +
          'can use the module before it does. try again later; restart the process if it never returns',
        { category: 'module' },
      )
    case Outcome.SYSTEM:
      return systemFailure(job, String(value))
    default:
      return cryptokiError(rv, fn === '' ? operationName(job.operation) : fn, job.call.about?.())
  }
}

function systemFailure(job: Job, reason: string): Pkcs11PoolError {
  if (job.operation === Operation.LOAD_PIN) {
    return new Pkcs11PoolError('PIN_UNAVAILABLE', `${reason}; correct \`pin\`, or the file's path and permissions`)
  }
  const next = reason.startsWith('it is already initialised in this process')
    ? 'give all its clients the same, or close the others first'
    : 'check the path, and with ldd the libraries it needs'
  return new Pkcs11PoolError(
    'MODULE_LOAD_FAILED',
    `cannot load the PKCS#11 module ${job.call.about?.() ?? ''}: ${reason}; ${next}`,
  )
}
