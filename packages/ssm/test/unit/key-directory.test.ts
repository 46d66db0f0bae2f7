import { beforeEach, describe, expect, it } from 'vitest'
import { KEY_LIST_TTL_MS, KeyDirectory } from '../../src/hsm/key-directory.js'
import { LabelLocks } from '../../src/hsm/label-locks.js'
import type { StoredKey } from '../../src/hsm/stored-key.js'

const one: StoredKey = { label: 'k', id: 1, ckaId: Buffer.from([1]), private: true }
const two: StoredKey = { label: 'k', id: 2, ckaId: Buffer.from([2]), private: true }

let now: number
let onToken: StoredKey[]
let searches: number
let directory: KeyDirectory

beforeEach(() => {
  now = 0
  onToken = [one]
  searches = 0
  directory = new KeyDirectory(
    async () => {
      searches++
      return [...onToken]
    },
    () => now,
  )
})

describe('the directory of keys', () => {
  it('asks the token once within the time it believes a list', async () => {
    expect(await directory.list('k')).toEqual({ keys: [one], fresh: true })
    onToken = [one, two]
    now = KEY_LIST_TTL_MS - 1
    expect(await directory.list('k')).toEqual({ keys: [one], fresh: false })
    now = KEY_LIST_TTL_MS
    expect(await directory.list('k')).toEqual({ keys: [one, two], fresh: true })
    expect(searches).toBe(2)
  })

  it('lets callers at the same time share one search', async () => {
    const lists = await Promise.all([directory.list('k'), directory.list('k'), directory.refresh('k')])
    expect(lists.map(({ keys }) => keys)).toEqual([[one], [one], [one]])
    expect(searches).toBe(1)
  })

  it('does not remember a label without keys', async () => {
    onToken = []
    await directory.list('k')
    onToken = [one]
    expect((await directory.list('k')).keys).toEqual([one])
  })

  it('asks again after forgetting', async () => {
    await directory.list('k')
    onToken = [one, two]
    directory.forget('k')
    expect((await directory.list('k')).keys).toEqual([one, two])
  })

  it('does not remember what a search found that began before forgetting', async () => {
    const before = directory.list('k')
    onToken = [one, two]
    directory.forget('k')
    expect((await before).keys).toEqual([one])
    expect((await directory.list('k')).keys).toEqual([one, two])
  })

  it('does not remember a search that failed', async () => {
    let failing = true
    directory = new KeyDirectory(async () => {
      if (failing) throw new Error('away')
      return [one]
    })
    await expect(directory.list('k')).rejects.toThrow('away')
    failing = false
    expect((await directory.list('k')).keys).toEqual([one])
  })
})

describe('the lock of a label', () => {
  it('runs one change after the other, in order, also after one that failed', async () => {
    const locks = new LabelLocks()
    const events: string[] = []
    const change = (name: string, fail = false) =>
      locks.run('k', async () => {
        events.push(`${name} begins`)
        await Promise.resolve()
        events.push(`${name} ends`)
        if (fail) throw new Error(name)
        return name
      })
    const results = await Promise.allSettled([change('a'), change('b', true), change('c')])
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(events).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
  })

  it('does not hold up another label', async () => {
    const locks = new LabelLocks()
    let release = () => {}
    const held = locks.run('a', () => new Promise<void>((resolve) => (release = resolve)))
    expect(await locks.run('b', async () => 'done')).toBe('done')
    release()
    await held
  })
})
