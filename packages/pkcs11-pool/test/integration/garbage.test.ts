import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { useSoftHsmToken } from 'testkit/vitest'
import { expect, test } from 'vitest'
import { createClient } from '../../src/index.js'

const token = useSoftHsmToken()

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as (options?: { type: 'minor' | 'major' }) => void

test('what calls leave behind is gone after a quick collection, and does not wait for a full one', async () => {
  const client = await createClient({
    module: token.module,
    token: { label: token.label },
    pin: { file: token.pinFile },
    pool: { maxSize: 8 },
  })
  try {
    const calls = async (count: number): Promise<void> => {
      for (let made = 0; made < count; made += 16) {
        await Promise.all(Array.from({ length: 16 }, () => client.generateRandom(16)))
      }
      collect({ type: 'minor' })
      collect({ type: 'minor' })
    }
    await calls(1600)
    // What is in use now grows old: what it points to later is what quick collections keep.
    collect({ type: 'major' })
    await calls(160)
    const before = process.memoryUsage().heapUsed
    for (let round = 0; round < 10; round += 1) await calls(800)
    const kept = process.memoryUsage().heapUsed - before
    expect(kept / 8000, 'bytes kept of each call').toBeLessThan(100)
  } finally {
    await client.close()
  }
})
