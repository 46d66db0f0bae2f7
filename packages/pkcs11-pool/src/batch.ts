import type { OperationTarget } from './crypto-operations.js'
import { Pkcs11PoolError } from './errors.js'
import type { KeyOperations } from './key-operations.js'
import { isMeant, isRefusedHandle, notMeant } from './keys/confirmed.js'
import { cacheName, type HandleCache } from './keys/handle-cache.js'
import { cryptokiError } from './pkcs11/cryptoki-error.js'
import { functionName } from './pkcs11/engine.js'
import type { Mechanism } from './pkcs11/mechanisms.js'
import { usesUpKey } from './pkcs11/packed-mechanism.js'
import { Operation, Outcome, type PackedMechanism } from './pkcs11/protocol.js'
import { RETURN_VALUES } from './pkcs11/return-values.js'
import type { ObjectHandle } from './session/arguments.js'
import { type CallContext, nextCall, type OperationOptions } from './session/call-context.js'
import type { Capture } from './session/capture.js'
import { type AeadOptions, openInputs, type Sealed, sealedFrom, sealMechanism } from './session/encrypt-decrypt.js'
import { captureReference, describeReference, type KeyReference, type KeyUse } from './session/key-reference.js'
import type { PooledSession } from './session/pooled-session.js'
import { saysInvalidSignature } from './session/sign-verify.js'

/** One operation of a batch. */
export type BatchItem =
  | { op: 'encrypt' | 'decrypt' | 'sign'; key: KeyReference; mechanism: Mechanism; data: Uint8Array }
  | { op: 'verify'; key: KeyReference; mechanism: Mechanism; data: Uint8Array; signature: Uint8Array }
  | { op: 'digest'; mechanism: Mechanism; data: Uint8Array }
  | ({ op: 'seal'; key: KeyReference; data: Uint8Array } & AeadOptions)
  | ({
      op: 'open'
      key: KeyReference
      sealed: { iv: Uint8Array; ciphertext: Uint8Array; tag: Uint8Array }
    } & AeadOptions)

/** What one operation came to: its bytes, for `verify` whether the signature is the key's, for `seal` what `open` needs. */
export type BatchResult = PromiseSettledResult<Buffer | boolean | Sealed>

const OPERATIONS = {
  encrypt: { operation: Operation.ENCRYPT, use: 'public' },
  decrypt: { operation: Operation.DECRYPT, use: 'private' },
  sign: { operation: Operation.SIGN, use: 'private' },
  verify: { operation: Operation.VERIFY, use: 'public' },
  digest: { operation: Operation.DIGEST, use: undefined },
  seal: { operation: Operation.SEAL, use: 'public' },
  open: { operation: Operation.DECRYPT, use: 'private' },
} as const satisfies Record<BatchItem['op'], { operation: Operation; use: KeyUse | undefined }>

/** An item as it was when the batch was made. */
export interface Captured {
  readonly place: number
  readonly op: BatchItem['op']
  readonly key: { reference: KeyReference; use: KeyUse } | undefined
  readonly mechanism: PackedMechanism
  readonly data: Uint8Array
  readonly signature: Uint8Array | undefined
}

/** By place; undefined for an item that was not sent. */
export type Results = (BatchResult | undefined)[]

/** A batch as it was when it was made, with what is known of its items before any is sent. */
export interface CapturedBatch {
  readonly items: readonly Captured[]
  readonly results: Results
}

/** @throws INVALID_ARGUMENT for what is no array; what is wrong with one item is its own result */
export function captureBatch(capture: Capture, items: readonly BatchItem[]): CapturedBatch {
  if (!Array.isArray(items)) {
    throw new Pkcs11PoolError('INVALID_ARGUMENT', 'a batch is no array; expected an array of operations')
  }
  const results: Results = new Array(items.length)
  const captured = items.flatMap((item: BatchItem, place) =>
    settling(results, place, () => captureItem(capture, item, place)),
  )
  return { items: captured, results }
}

/**
 * Runs operations on one session in one hop, each settled on its own: one that fails says nothing about the others. Items whose
 * cached handle the token refuses are sent once more with a fresh one.
 */
export async function sendBatch(
  { operations, cache }: OperationTarget,
  items: readonly Captured[],
  results: Results,
  options: OperationOptions,
): Promise<void> {
  const call = async (context: CallContext, pooled: PooledSession): Promise<void> => {
    const batch = new Batch(operations, cache, context, pooled, results)
    // After a new login only what has no answer yet: a one-time key would sign the others a second time.
    const refused = await batch.send(items.filter(({ place }) => results[place] === undefined))
    if (refused.length > 0) await batch.send(refused)
  }
  const once = items.some(takesOfItsKey)
  await operations.withSession(options, call, { once })
}

/** Whether an item takes something of its key away. */
export function takesOfItsKey({ op, mechanism }: Captured): boolean {
  return op === 'sign' && usesUpKey(mechanism)
}

/** What all items came to. */
export function batchResults(results: Results): BatchResult[] {
  return Array.from(results, (result) => result ?? rejected(unanswered()))
}

/** Sends items over one session and puts what they come to in their places. */
class Batch {
  constructor(
    readonly operations: KeyOperations,
    readonly cache: HandleCache,
    readonly context: CallContext,
    readonly pooled: PooledSession,
    readonly results: Results,
  ) {}

  /** @returns the items whose handle the token refused */
  async send(items: readonly Captured[]): Promise<Captured[]> {
    const sent: { item: Captured; handle: ObjectHandle }[] = []
    for (const item of items) {
      try {
        const handle = await this.#handleOf(item)
        if (this.context.login.wantsPin(handle)) throw wantsPin(item)
        sent.push({ item, handle })
      } catch (error) {
        // Only what concerns this item alone is its own result; a lost session or login ends the batch.
        if (!(error instanceof Pkcs11PoolError) || error.category !== 'caller') throw error
        this.results[item.place] = rejected(error)
      }
    }
    if (sent.length === 0) return []
    const packed = sent.map(({ item, handle }) => [
      OPERATIONS[item.op].operation,
      item.mechanism,
      handle,
      item.data,
      item.signature,
    ])
    const { engine, session } = this.context
    const answers = (await engine.run(Operation.BATCH, session, nextCall(this.context), packed)) as [
      number,
      number,
      unknown,
    ][]
    const strangers = this.cache.confirms ? await this.#strangers(sent) : undefined
    const refused = sent.flatMap(({ item, handle }, at) =>
      strangers?.has(item) ? this.#disown(item, handle) : this.#settle(item, handle, answers[at]),
    )
    const loggedOut = answers.find(([rv]) => rv === RETURN_VALUES.CKR_USER_NOT_LOGGED_IN.rv)
    if (loggedOut === undefined) return refused
    // These are made again too, after the new login.
    for (const { place } of refused) this.results[place] = undefined
    throw cryptokiError(loggedOut[0], functionName(loggedOut[1]))
  }

  /** Items whose handle is another key's by now, and may have been when they were made. */
  async #strangers(sent: readonly { item: Captured; handle: ObjectHandle }[]): Promise<Set<Captured>> {
    const strangers = new Set<Captured>()
    const looks = new Map<string, Promise<boolean>>()
    for (const { item, handle } of sent) {
      const { key } = item
      if (key === undefined) continue
      const name = `${handle}|${cacheName(key.reference, key.use)}`
      const look = looks.get(name) ?? isMeant(nextCall(this.context), handle, key)
      looks.set(name, look)
      if (!(await look)) strangers.add(item)
    }
    return strangers
  }

  #disown(item: Captured, handle: ObjectHandle): Captured[] {
    if (item.key !== undefined) this.results[item.place] = rejected(notMeant(item.key))
    this.cache.forgetHandle(handle)
    return [item]
  }

  /** What is one call to the engine, and so no failure to it, is told here. */
  #failed(reason: Pkcs11PoolError): BatchResult {
    this.pooled.judge(reason)
    this.operations.observe(reason)
    return rejected(reason)
  }

  async #handleOf({ key }: Captured): Promise<ObjectHandle> {
    if (key === undefined) return 0
    const known = this.cache.peek(cacheName(key.reference, key.use))
    return known ?? this.operations.handleOf(key.reference, key.use, this.context, this.pooled)
  }

  #settle(item: Captured, handle: ObjectHandle, answer: [number, number, unknown] | undefined): Captured[] {
    const [rv, fn, value] = answer ?? [Outcome.ABANDONED, 0, undefined]
    // Of this item nothing was done: without a result, it is made again after a new login.
    if (rv === RETURN_VALUES.CKR_USER_NOT_LOGGED_IN.rv) return []
    const result = resultOf(item, rv, fn, value)
    this.results[item.place] = result instanceof Pkcs11PoolError ? this.#failed(result) : fulfilled(result)
    if (!isRefusedHandle(rv)) return []
    this.cache.forgetHandle(handle)
    return [item]
  }
}

function captureItem(capture: Capture, item: BatchItem, place: number): Captured {
  const isKnown = typeof item === 'object' && item !== null && Object.hasOwn(OPERATIONS, item.op)
  if (!isKnown) {
    const expected = Object.keys(OPERATIONS).join(', ')
    throw new Pkcs11PoolError('INVALID_ARGUMENT', `an item's op is not known; expected one of ${expected}`)
  }
  return {
    place,
    op: item.op,
    key:
      item.op === 'digest'
        ? undefined
        : { reference: captureReference(item.key), use: OPERATIONS[item.op].use ?? 'any' },
    ...captureInputs(capture, item),
    signature: item.op === 'verify' ? capture.bytes(item.signature, 'signature') : undefined,
  }
}

function captureInputs(capture: Capture, item: BatchItem): Pick<Captured, 'mechanism' | 'data'> {
  if (item.op === 'open') return openInputs(capture, item.sealed, item)
  const mechanism = item.op === 'seal' ? sealMechanism(capture, item) : capture.mechanism(item.mechanism)
  return { mechanism, data: capture.bytes(item.data, 'data') }
}

/** What `make` makes, or nothing, and its error in the item's place. */
function settling(results: Results, place: number, make: () => Captured): Captured[] {
  try {
    return [make()]
  } catch (error) {
    if (!(error instanceof Pkcs11PoolError)) throw error
    results[place] = rejected(error)
    return []
  }
}

function resultOf(
  { op, key }: Captured,
  rv: number,
  fn: number,
  value: unknown,
): Buffer | boolean | Sealed | Pkcs11PoolError {
  if (op === 'verify' && (rv === 0 || saysInvalidSignature(rv))) return rv === 0
  if (rv === 0) return op === 'seal' ? sealedFrom(value) : (value as Buffer)
  const about = key === undefined ? 'a digest' : describeReference(key.reference)
  if (rv > 0) return cryptokiError(rv, functionName(fn), about)
  const late = `${op} of ${about} had not finished by the batch's deadline`
  return rv === Outcome.EXPIRED
    ? new Pkcs11PoolError('OPERATION_TIMEOUT', `${late}; nothing of it reached the token`, { category: 'overload' })
    : new Pkcs11PoolError('OPERATION_TIMEOUT', `${late}; whether it took effect is unknown`)
}

function wantsPin({ op, key }: Captured): Pkcs11PoolError {
  const about = key === undefined ? 'a key' : describeReference(key.reference)
  return new Pkcs11PoolError(
    'INVALID_ARGUMENT',
    `${about} wants the PIN for each use (CKA_ALWAYS_AUTHENTICATE), which a batch does not send; use client.${op}`,
  )
}

function fulfilled(value: Buffer | boolean | Sealed): BatchResult {
  return { status: 'fulfilled', value }
}

export function rejected(reason: Pkcs11PoolError): BatchResult {
  return { status: 'rejected', reason }
}

function unanswered(): Pkcs11PoolError {
  return new Pkcs11PoolError('INTERNAL', 'an item of a batch was not answered')
}
