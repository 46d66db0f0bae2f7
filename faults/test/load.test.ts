import type { FunctionName } from 'pkcs11-chaos'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { LoopWatch } from '../src/cell/loop-watch.js'
import { Witness } from '../src/cell/witness.js'
import { World } from '../src/cell/world.js'
import { WrongAnswer } from '../src/load/check.js'
import { MIX } from '../src/load/mix.js'
import { SPECIAL } from '../src/load/special.js'

let world: World
beforeAll(async () => {
  world = await World.create({ loaded: true })
})
afterAll(() => world.remove())

test.each([...MIX, ...SPECIAL])('$name calls what it says, and its answers are right', async (operation) => {
  const client = await world.open({ pool: { operationTimeoutMs: 10_000, createTimeoutMs: 10_000 } })
  await world.chaos.resetCounters()
  await operation.run(world.subject(client))
  const { functions } = await world.chaos.counters()
  const called = Object.entries(functions).filter(([, { calls }]) => calls > 0)
  const names = called.map(([name]) => name as FunctionName)
  expect(names).toEqual(expect.arrayContaining([...operation.calls]))
  await client.close()
  expect(await world.chaos.misuse()).toEqual([])
})

test('a load with another key than the token has is noticed', async () => {
  const client = await world.open()
  const subject = world.subject(client)
  const [encrypt] = MIX
  const keys = { ...subject.keys, aes: Buffer.alloc(32) }
  await expect(encrypt?.run({ ...subject, keys })).rejects.toThrow(WrongAnswer)
  await client.close()
})

test('a promise that does not settle, an error of nobody’s and a wrong answer are violations', async () => {
  const witness = new Witness()
  await witness.see('a', 0, Promise.reject(new TypeError('not ours')))
  await witness.see('b', 0, Promise.reject(new WrongAnswer('c')))
  await witness.see('d', -5_000, new Promise(() => undefined))
  expect(witness.violations.map(({ invariant }) => invariant)).toEqual(['typed', 'answers', 'settled'])
})

test.runIf(LoopWatch.available)(
  'a loop that waits for a lock is seen to, and one that has nothing to do is not',
  async () => {
    // what a busy host takes is taken off, and may be as much as is waited for here
    const watch = new LoopWatch(() => 0)
    watch.start()
    await new Promise((resolve) => setTimeout(resolve, 300))
    const idle = watch.stop()
    watch.start()
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000)
    expect(watch.stop().sleptMs).toBeGreaterThan(Math.max(100, idle.sleptMs))
  },
)
