import { type Client, createClient } from 'pkcs11-pool'
import { INPUTS, IV, type Output } from '../crypto/operations.js'
import type { TokenPlace } from '../crypto/token.js'
import { latencyPercentiles } from '../harness/load.js'
import { type Phase, runOpenLoad } from '../harness/open-load.js'
import type { Sample } from '../harness/result.js'
import { serve } from '../harness/serve.js'

export interface SizingSetup {
  place: TokenPlace
  phases: Phase[]
  pool: { minSize: number; maxSize: number; growAfterMs: number; idleTimeoutMs: number }
  /** how often the trace takes a sample */
  sampleMs: number
}

/** The pool at one moment, and what came to pass since the sample before. */
export interface TracePoint {
  ms: number
  offered_per_s: number
  size: number
  /** the most at a time */
  in_use: number
  opened: number
  longest_wait_ms: number
}

export interface SizingReport {
  trace: TracePoint[]
  /** waits for a session */
  sample: Sample
  outputs: Output[]
}

/** One run of the load on a fresh client: a pool that has grown before would not grow again. */
async function run({ place, phases, pool, sampleMs }: SizingSetup): Promise<SizingReport> {
  const client = await createClient({
    module: place.module,
    token: { label: place.label },
    pin: { file: place.pinFile },
    pool,
  })
  const watched = watch(client, sampleMs)
  let output: Uint8Array | undefined
  let calls = 0
  await runOpenLoad(phases, async () => {
    watched.offered += 1
    output = await client.encrypt({ label: 'aes' }, { mechanism: 'CKM_AES_CBC_PAD', iv: IV }, INPUTS.aes)
    calls += 1
  })
  const trace = watched.stop()
  const { created, currentSize } = client.stats()
  await client.close()
  const lastedMs = phases.reduce((sum, { ms }) => sum + ms, 0)
  const sizes = trace.map(({ size }) => size)
  return {
    trace,
    sample: {
      ops_per_s: (calls * 1_000) / lastedMs,
      ...latencyPercentiles(watched.waits),
      details: {
        longest_wait_ms: Math.max(...watched.waits),
        opened: created,
        largest: Math.max(...sizes),
        mean_size: sizes.reduce((sum, size) => sum + size, 0) / sizes.length,
        turns: watched.turns,
        size_at_end: currentSize,
      },
    },
    outputs: output === undefined ? [] : [{ key: 0, bytes: output }],
  }
}

/** Takes down what becomes of the pool: at intervals, and each time its size changes. */
function watch(client: Client, sampleMs: number) {
  const begin = performance.now()
  const trace: TracePoint[] = []
  const waits: number[] = []
  const seen = {
    offered: 0,
    longestWaitMs: 0,
    inUse: 0,
    mostInUse: 0,
    created: 0,
    size: client.stats().currentSize,
    step: 0,
    turns: 0,
  }

  const resized = (): void => {
    const size = client.stats().currentSize
    const step = Math.sign(size - seen.size)
    if (seen.step !== 0 && step !== 0 && step !== seen.step) seen.turns += 1
    if (step !== 0) seen.step = step
    seen.size = size
  }
  client.on('created', resized).on('destroyed', resized)
  client.on('acquired', ({ waitedMs }) => {
    waits.push(waitedMs)
    seen.longestWaitMs = Math.max(seen.longestWaitMs, waitedMs)
    seen.inUse += 1
    seen.mostInUse = Math.max(seen.mostInUse, seen.inUse)
  })
  client.on('released', () => {
    seen.inUse -= 1
  })
  const take = (): void => {
    const { currentSize, created } = client.stats()
    trace.push({
      ms: Math.round(performance.now() - begin),
      offered_per_s: Math.round((seen.offered * 1_000) / sampleMs),
      size: currentSize,
      in_use: seen.mostInUse,
      opened: created - seen.created,
      longest_wait_ms: Number(seen.longestWaitMs.toFixed(2)),
    })
    Object.assign(seen, { offered: 0, longestWaitMs: 0, mostInUse: seen.inUse, created })
  }
  const timer = setInterval(take, sampleMs)
  return {
    waits,
    get turns() {
      return seen.turns
    },
    get offered() {
      return seen.offered
    },
    set offered(count: number) {
      seen.offered = count
    },
    stop() {
      clearInterval(timer)
      take()
      client.off('created', resized).off('destroyed', resized)
      return trace
    },
  }
}

serve({ run })
