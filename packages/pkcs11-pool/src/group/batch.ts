import {
  type BatchItem,
  type BatchResult,
  batchResults,
  type Captured,
  captureBatch,
  type Results,
  rejected,
  sendBatch,
  takesOfItsKey,
} from '../batch.js'
import type { OperationOptions } from '../session/call-context.js'
import type { Capture } from '../session/capture.js'
import { Deadline } from '../session/deadline.js'
import { type GroupCore, usedUpTwice } from './group-core.js'
import type { Member } from './member.js'
import { verdictOf } from './verdict.js'

/** A batch on one member, and what failed of it on that member's side on the next. */
export async function runGroupBatch(
  core: GroupCore,
  capture: Capture,
  items: readonly BatchItem[],
  options: OperationOptions,
): Promise<BatchResult[]> {
  const batch = captureBatch(capture, items)
  const { results } = batch
  const tried = new Set<Member>()
  const deadline = Deadline.of(options.timeoutMs)
  const lacking = new Map<number, Member[]>()
  let left = core.members.length > 1 ? batch.items.filter((item) => !isRefused(item, results)) : batch.items
  const { length } = left
  while (left.length > 0) {
    const sending = left
    let answer: { into: Results; member: Member }
    try {
      const bounds = { ...options, timeoutMs: deadline?.within(deadline.timeoutMs) }
      // Each member fills results of its own: one that is late must not write into those of another.
      answer = await core.run(
        bounds,
        async (target, own) => {
          const into: Results = new Array(results.length)
          await sendBatch(target, sending, into, own)
          return { into, member: target.member }
        },
        undefined,
        { tried },
      )
    } catch (error) {
      // What has its result by now keeps it.
      if (sending.length === length || options.signal?.aborted === true) throw error
      break
    }
    const { into, member } = answer
    for (const { place, key } of sending) {
      const now = into[place]
      const without = lacking.get(place) ?? []
      if (isNotFound(now)) lacking.set(place, [...without, member])
      else if (now?.status === 'fulfilled' && key !== undefined && without.length > 0) {
        core.missing(key.reference, [member], without)
      }
      results[place] = better(results[place], now)
    }
    left = sending.filter(({ place }) => isForOthers(results[place]))
    if (!core.members.some((member) => member.usable && !tried.has(member))) break
  }
  return batchResults(results)
}

/** Of several members each would use the same part of the key. */
function isRefused(item: Captured, results: Results): boolean {
  if (!takesOfItsKey(item)) return false
  results[item.place] = rejected(usedUpTwice())
  return true
}

function isForOthers(result: BatchResult | undefined): boolean {
  return result?.status === 'rejected' && verdictOf(result.reason) !== 'final'
}

function isNotFound(result: BatchResult | undefined): boolean {
  return result?.status === 'rejected' && verdictOf(result.reason) === 'not found'
}

/** That one member has no such key says nothing of another that failed. */
function better(before: BatchResult | undefined, now: BatchResult | undefined): BatchResult | undefined {
  const failed = before?.status === 'rejected' && verdictOf(before.reason) === 'elsewhere'
  return isNotFound(now) && failed ? before : now
}
