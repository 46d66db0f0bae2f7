import { type Client, createClient } from 'pkcs11-pool'
import { INPUTS, IV } from '../crypto/operations.js'
import type { TokenPlace } from '../crypto/token.js'
import { latencyPercentiles } from '../harness/load.js'
import { type LoopDelay, withLoopDelay } from '../harness/loop-delay.js'
import type { Sample } from '../harness/result.js'
import { serve } from '../harness/serve.js'

export interface HangSetup {
  place: TokenPlace
  sessions: number
  operationTimeoutMs: number
}

export interface HangReport extends LoopDelay {
  /** from the deadline to the rejection */
  latency: Pick<Sample, 'p50_us' | 'p95_us' | 'p99_us'>
  late_min_ms: number
  late_max_ms: number
}

let client: Client
let setup: HangSetup

function encrypt(): Promise<Uint8Array> {
  return client.encrypt({ label: 'aes' }, { mechanism: 'CKM_AES_CBC_PAD', iv: IV }, INPUTS.aes)
}

function encryptOnEverySession(): Promise<PromiseSettledResult<number>[]> {
  return Promise.allSettled(
    Array.from({ length: setup.sessions }, async () => {
      const deadline = performance.now() + setup.operationTimeoutMs
      try {
        await encrypt()
      } catch (error) {
        if ((error as { code?: string }).code === 'OPERATION_TIMEOUT') return performance.now() - deadline
        throw error
      }
      throw new Error('a call that hangs has returned')
    }),
  )
}

/** One call on each session, all of which hang until they are past their deadline. */
async function hang(): Promise<HangReport> {
  const { value: settled, delay } = await withLoopDelay(encryptOnEverySession)
  const late = settled.map((result) => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  })
  return { ...delay, latency: latencyPercentiles(late), late_min_ms: Math.min(...late), late_max_ms: Math.max(...late) }
}

/** The library has replaced what hung: every session works again. */
async function recover(): Promise<void> {
  await Promise.all(Array.from({ length: setup.sessions }, encrypt))
}

serve({
  open: async (parameters: HangSetup) => {
    setup = parameters
    const { place, sessions, operationTimeoutMs } = setup
    client = await createClient({
      module: place.module,
      token: { label: place.label },
      pin: { file: place.pinFile },
      pool: { minSize: sessions, maxSize: sessions, operationTimeoutMs },
      // What is measured is the engine: with the breaker open, nothing would be sent that could hang.
      breaker: { failureThreshold: 1_000_000 },
    })
    await recover()
  },
  hang,
  recover,
})
