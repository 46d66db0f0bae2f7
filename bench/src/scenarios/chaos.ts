import { createChaos } from 'pkcs11-chaos'
import { runLimit } from '../crypto/limit.js'
import { OPERATION_TITLES, type OperationName, verifyOutputs } from '../crypto/operations.js'
import { createTokenWithKeys } from '../crypto/token.js'
import type { Context } from '../harness/context.js'
import type { Row, Sample, ScenarioResult, Target } from '../harness/result.js'
import { type Cell, interleave, samplesOf } from '../harness/rounds.js'
import { median, ratios, summarise, target } from '../harness/statistics.js'

const OPERATIONS: OperationName[] = ['aes', 'ecdsa']
const THREADS = [1, 2, 8]
/** the Init and the one-shot call */
const CALLS_PER_OPERATION = 2

const DIRECTLY = 'directly'
const WITHOUT_RULE = 'through pkcs11-chaos, no rule'
const WITH_RULE = 'through pkcs11-chaos, a rule for another function'

/** What the fault proxy costs: the same C program with the real module and with the proxy before it. */
export async function chaos(context: Context): Promise<ScenarioResult> {
  const { place, material } = await createTokenWithKeys(context)
  const idle = createChaos({ module: place.module })
  const ruled = createChaos({ module: place.module })
  context.defer(() => Promise.all([idle.close(), ruled.close()]))
  await ruled.rules.add({ on: 'C_WrapKey', fail: 'CKR_DEVICE_ERROR' })
  const ways = { [DIRECTLY]: place.module, [WITHOUT_RULE]: idle.modulePath, [WITH_RULE]: ruled.modulePath }

  const rows: Row[] = []
  const targets: Target[] = []
  for (const operation of OPERATIONS) {
    const task = { operation, keys: [operation] }
    for (const threads of THREADS) {
      const title = `${OPERATION_TITLES[operation]}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`
      const cells: Cell[] = Object.entries(ways).map(([way, module]) => ({
        name: way,
        run: async (window) => {
          const { sample, outputs } = await runLimit({ ...place, module }, task, { ...window, threads })
          verifyOutputs(operation, material[operation], outputs)
          return sample
        },
      }))
      const samples = await interleave(context, cells)
      const direct = samplesOf(samples, DIRECTLY)
      for (const way of Object.keys(ways)) {
        const own = samplesOf(samples, way)
        const cost = way === DIRECTLY || threads > 1 ? {} : { ns_per_call: Math.round(nsPerCall(own, direct)) }
        rows.push(summarise(`${title}: ${way}`, own, direct, cost))
      }
      if (operation === 'aes') {
        const slower = ratios(latencies(samplesOf(samples, WITHOUT_RULE)), latencies(direct))
        targets.push(
          target(`${title}, p50 through pkcs11-chaos without a rule, against directly`, { at_most: 1.05 }, slower),
        )
      }
    }
  }
  return { scenario: 'chaos', rows, targets }
}

/** Medians, which what else the machine does moves far less than rates. */
function latencies(samples: readonly Sample[]): number[] {
  return samples.map(({ p50_us }) => p50_us)
}

function nsPerCall(samples: readonly Sample[], direct: readonly Sample[]): number {
  const added = latencies(samples).map((p50, round) => p50 - (direct[round]?.p50_us ?? Number.NaN))
  return (median(added) * 1000) / CALLS_PER_OPERATION
}
