import { type BatchItem, type BatchResult, batchResults, captureBatch, type Results, sendBatch } from '../batch.js'
import type { OperationOptions } from '../session/call-context.js'
import type { Capture } from '../session/capture.js'
import { Deadline } from '../session/deadline.js'
import type { GroupCore } from './group-core.js'
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
  let left = batch.items
  while (left.length > 0) {
    const sending = left
    let answer: { into: Results; member: Member | undefined }
    try {
      const bounds = { ...options, timeoutMs: deadline?.within(deadline.timeoutMs) }
      // Each member fills results of its own: one that is late must not write into those of another.
      answer = await core.run(
        bounds,
        async (target, own) => {
          const into: Results = new Array(results.length)
          await sendBatch(target, sending, into, own)
          return { into, member: core.members.find((member) => member.core === target) }
        },
        undefined,
        { tried },
      )
    } catch (error) {
      // What has its result by now keeps it.
      if (sending.length === batch.items.length || options.signal?.aborted === true) throw error
      break
    }
    const { into, member } = answer
    for (const { place, key } of sending) {
      const now = into[place]
      const without = lacking.get(place) ?? []
      if (member !== undefined && isNotFound(now)) lacking.set(place, [...without, member])
      else if (member !== undefined && now?.status === 'fulfilled' && key !== undefined && without.length > 0) {
        core.missing(key.reference, [member], without)
      }
      results[place] = better(results[place], now)
    }
    left = sending.filter(({ place }) => isForOthers(results[place]))
    if (!core.members.some((member) => member.usable && !tried.has(member))) break
  }
  return batchResults(results)
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
