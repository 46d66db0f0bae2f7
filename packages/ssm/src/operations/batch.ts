import type { Hsm, Sealed } from '../hsm/hsm.js'
import type { LabelKeys, Used } from '../hsm/label-keys.js'
import type { Plan } from './plan.js'

/** What became of one operation of a batch. */
export type BatchOutcome = PromiseSettledResult<Used<Buffer | Sealed>>

/** Runs many operations in a few hops, each settled on its own. */
export function runBatch(hsm: Hsm, keys: LabelKeys, plans: readonly Plan[]): Promise<BatchOutcome[]> {
  const stepOf = (place: number) => {
    const plan = plans[place]
    if (plan === undefined) throw new Error(`a batch of ${plans.length} has no place ${place}`)
    return plan.step
  }
  return keys.useMany(
    plans,
    (uses) => hsm.batch(uses.map(({ place, key }) => ({ key, step: stepOf(place) }))),
    async ({ place, key }) => {
      const [outcome] = await hsm.batch([{ key, step: stepOf(place) }])
      if (outcome?.status === 'fulfilled') return outcome.value
      throw outcome?.reason
    },
  )
}
