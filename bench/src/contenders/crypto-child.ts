import type { Round, Setup } from '../crypto/contender.js'
import type { Measured } from '../crypto/limit.js'
import type { Output, Task } from '../crypto/operations.js'
import { runLoad } from '../harness/load.js'
import { withLoopDelay } from '../harness/loop-delay.js'
import { serve } from '../harness/serve.js'

/** One operation of one caller: its result, or a promise of it. */
export type Perform = (caller: number, key: number) => Uint8Array | Promise<Uint8Array>

/** What a contender gives: how to open, and for a task how to do it once. `prepare` may find keys; it is not measured. */
export interface Adapter {
  open(setup: Setup): Promise<void>
  prepare(task: Task): Promise<Perform>
}

/** The child's program of a contender: the same load for each, so that they differ in nothing but their adapter. */
export function serveContender(adapter: Adapter): void {
  let callers = 0
  const prepared = new Map<string, Perform>()

  async function run({ task, watchLoop, warmupMs, measureMs }: Round): Promise<Measured> {
    const name = JSON.stringify(task)
    const perform = prepared.get(name) ?? (await adapter.prepare(task))
    prepared.set(name, perform)
    const outputs: Output[] = []
    const turns = Array.from({ length: callers }, (_, caller) => caller)
    const load = () =>
      runLoad(
        async (caller) => {
          const turn = turns[caller] ?? 0
          turns[caller] = turn + 1
          const key = turn % task.keys.length
          outputs[caller] = { key, bytes: await perform(caller, key) }
        },
        { callers, warmupMs, measureMs, timeEvery: 1 },
      )
    if (!watchLoop) return { sample: await load(), outputs }
    const { value: sample, delay } = await withLoopDelay(load)
    return { sample: { ...sample, details: { ...delay } }, outputs }
  }

  serve({
    open: async (setup: Setup) => {
      callers = setup.callers
      await adapter.open(setup)
    },
    run,
  })
}
