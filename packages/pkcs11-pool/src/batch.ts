import { Pkcs11PoolError } from './errors.js'
import type { KeyOperations } from './key-operations.js'
import { isRefusedHandle } from './key-operations.js'
import { cacheName, type HandleCache } from './keys/handle-cache.js'
import { cryptokiError } from './pkcs11/cryptoki-error.js'
import { functionName } from './pkcs11/engine.js'
import { type Mechanism, packMechanism } from './pkcs11/mechanisms.js'
import { Operation, Outcome } from './pkcs11/protocol.js'
import { describeRv } from './pkcs11/return-values.js'
import { type ObjectHandle, toBytes } from './session/arguments.js'
import type { CallContext, OperationOptions } from './session/call-context.js'
import { checkReference, describeReference, type KeyReference, type KeyUse } from './session/key-reference.js'
import type { PooledSession } from './session/pooled-session.js'
import { saysInvalidSignature } from './session/sign-verify.js'

/** One operation of a batch. */
export type BatchItem =
  | { op: 'encrypt' | 'decrypt' | 'sign'; key: KeyReference; mechanism: Mechanism; data: Uint8Array }
  | { op: 'verify'; key: KeyReference; mechanism: Mechanism; data: Uint8Array; signature: Uint8Array }
  | { op: 'digest'; mechanism: Mechanism; data: Uint8Array }

/** What one operation came to: its bytes, or for `verify` whether the signature is the key's. */
export type BatchResult = PromiseSettledResult<Buffer | boolean>

const OPERATIONS = {
  encrypt: { operation: Operation.ENCRYPT, use: 'public' },
  decrypt: { operation: Operation.DECRYPT, use: 'private' },
  sign: { operation: Operation.SIGN, use: 'private' },
  verify: { operation: Operation.VERIFY, use: 'public' },
  digest: { operation: Operation.DIGEST, use: undefined },
} as const satisfies Record<BatchItem['op'], { operation: Operation; use: KeyUse | undefined }>

type Packed = [operation: Operation, mechanism: Uint8Array, key: ObjectHandle, data: Uint8Array, signature?: Uint8Array]

const CKR_USER_NOT_LOGGED_IN = 0x101

/**
 * Runs operations on one session in one hop, each settled on its own: one that fails says nothing about the others. Items whose
 * cached handle the token refuses are sent once more with a fresh one.
 */
export async function runBatch(
  operations: KeyOperations,
  cache: HandleCache,
  items: readonly BatchItem[],
  options: OperationOptions,
): Promise<BatchResult[]> {
  if (!Array.isArray(items))
    throw new Pkcs11PoolError('INVALID_ARGUMENT', 'a batch is no array; expected an array of operations')
  const results = new Array<BatchResult | undefined>(items.length)
  await operations.withSession(options, async (context, pooled) => {
    const first = await send(operations, cache, items, allOf(items), results, context, pooled)
    if (first.length > 0) await send(operations, cache, items, first, results, context, pooled)
  })
  return results.map(
    (result) => result ?? rejected(new Pkcs11PoolError('INTERNAL', 'an item of a batch was not answered')),
  )
}

/** Sends the items of the given places, and answers the places of those whose handle was refused. */
async function send(
  operations: KeyOperations,
  cache: HandleCache,
  items: readonly BatchItem[],
  places: readonly number[],
  results: (BatchResult | undefined)[],
  context: CallContext,
  pooled: PooledSession,
): Promise<number[]> {
  const sent: { place: number; item: BatchItem; handle: ObjectHandle }[] = []
  const packed: Packed[] = []
  for (const place of places) {
    const item = items[place] as BatchItem
    try {
      const one = await pack(operations, cache, item, context, pooled)
      packed.push(one)
      sent.push({ place, item, handle: one[2] })
    } catch (error) {
      // Only what concerns this item alone is its own result; a lost session or login ends the batch.
      if (!(error instanceof Pkcs11PoolError) || error.category !== 'caller') throw error
      results[place] = rejected(error)
    }
  }
  if (packed.length === 0) return []
  const answers = (await context.engine.run(Operation.BATCH, context.session, context, packed)) as [
    number,
    number,
    unknown,
  ][]
  const refused: number[] = []
  for (const [at, { place, item, handle }] of sent.entries()) {
    const [rv, fn, value] = answers[at] ?? [Outcome.ABANDONED, 0, undefined]
    // Refused for want of a login: of this item nothing was done, and of the items after it neither. The caller logs in again.
    if (rv === CKR_USER_NOT_LOGGED_IN) throw cryptokiError(rv, functionName(fn))
    if (isRefusedHandle(rv)) {
      cache.forgetHandle(handle)
      refused.push(place)
    }
    results[place] = settle(item, rv, fn, value)
    if (describeRv(rv).category === 'session') pooled.doubtful = true
  }
  return refused
}

async function pack(
  operations: KeyOperations,
  cache: HandleCache,
  item: BatchItem,
  context: CallContext,
  pooled: PooledSession,
): Promise<Packed> {
  const known = typeof item === 'object' && item !== null ? OPERATIONS[item.op] : undefined
  if (known === undefined) {
    throw new Pkcs11PoolError(
      'INVALID_ARGUMENT',
      `an item's op is not known; expected one of ${Object.keys(OPERATIONS).join(', ')}`,
    )
  }
  const mechanism = packMechanism(item.mechanism)
  const data = toBytes(item.data, 'data')
  if (item.op === 'digest') return [known.operation, mechanism, 0, data]
  const use = known.use ?? 'any'
  checkReference(item.key)
  const handle = cache.peek(cacheName(item.key, use)) ?? (await operations.handleOf(item.key, use, context, pooled))
  if (item.op === 'verify') return [known.operation, mechanism, handle, data, toBytes(item.signature, 'signature')]
  return [known.operation, mechanism, handle, data]
}

function settle(item: BatchItem, rv: number, fn: number, value: unknown): BatchResult {
  if (item.op === 'verify' && (rv === 0 || saysInvalidSignature(rv))) return { status: 'fulfilled', value: rv === 0 }
  if (rv === 0) return { status: 'fulfilled', value: value as Buffer }
  const about = item.op === 'digest' ? 'a digest' : describeReference(item.key)
  if (rv === Outcome.ABANDONED || rv === Outcome.EXPIRED) {
    const reached = rv === Outcome.EXPIRED ? 'nothing of it reached the token' : 'whether it took effect is unknown'
    return rejected(
      new Pkcs11PoolError(
        'OPERATION_TIMEOUT',
        `${item.op} of ${about} had not finished by the batch's deadline; ${reached}`,
      ),
    )
  }
  return rejected(cryptokiError(rv, functionName(fn), about))
}

function rejected(reason: Pkcs11PoolError): BatchResult {
  return { status: 'rejected', reason }
}

function allOf(items: readonly unknown[]): number[] {
  return items.map((_, at) => at)
}
