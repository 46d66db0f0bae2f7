import { describe, expect, it } from 'vitest'
import { encodeKeyId } from '../../src/hsm/key-id.js'
import { LabelKeys } from '../../src/hsm/label-keys.js'
import type { StoredKey } from '../../src/hsm/stored-key.js'
import { ALONE, type KeyNews } from '../../src/replicas/replicas.js'
import { keyOf } from './key-of.js'

/** A token with keys, and another replica that the test speaks for. */
function start(...ids: number[]) {
  const there = new Set(ids)
  const calls: string[] = []
  const other = { admission: undefined as Promise<void> | undefined, caughtUp: undefined as Promise<void> | undefined }
  let news: KeyNews | undefined
  const keys = new LabelKeys(
    {
      findKeys: () => {
        calls.push('find')
        return Promise.resolve([...there].map(keyOf))
      },
      destroyKey: async ({ id }) => {
        calls.push(`destroy ${id}`)
        there.delete(id)
      },
      forgetKeys: (label) => void calls.push(`forget ${label ?? 'all'}`),
    },
    {
      ...ALONE,
      follow: (following) => (news = following),
      admission: () => other.admission,
      caughtUp: () => other.caughtUp,
      exclusively: async (label, work) => {
        calls.push(`lock ${label}`)
        return work().finally(() => calls.push(`unlock ${label}`))
      },
      destroying: async (label, id, destroy) => {
        calls.push(`tell ${label} ${id}`)
        await destroy()
      },
      tellChanged: async (label) => void calls.push(`tell ${label}`),
    },
  )
  return { keys, there, calls, other, news: news!, keyOf }
}

describe('with other replicas, a key', () => {
  it('is destroyed when all have been told, and they are told when it is done, all under one lock', async () => {
    const { keys, calls, keyOf } = start(1)
    await keys.change('k', () => keys.destroy(keyOf(1)))
    expect(calls).toEqual(['lock k', 'tell k 1', 'destroy 1', 'tell k', 'unlock k'])
  })

  it('that another destroys while it decrypts is KEY_NOT_FOUND, whatever the token said', async () => {
    const { keys, news } = start(1, 2)
    const use = (id: number) => keys.use('k', id, async () => news.destroying('k', 1))
    await expect(use(1)).rejects.toMatchObject({ code: 'KEY_NOT_FOUND' })
    expect(await use(2)).toMatchObject({ key: { id: 2 } })
  })

  it('that was the only one is KEY_NOT_FOUND where another took its place meanwhile', async () => {
    const { keys, there, news } = start(1)
    const decrypting = keys.use('k', 0, async () => {
      there.add(2)
      there.delete(1)
      news.destroying('k', 1)
    })
    await expect(decrypting).rejects.toMatchObject({ code: 'KEY_NOT_FOUND' })
  })

  it('that another destroys while it encrypts is not the one whose answer is given', async () => {
    const { keys, there, news } = start(1)
    const used: number[] = []
    const work = async ({ id }: StoredKey) => {
      used.push(id)
      if (id !== 1) return
      there.delete(1)
      there.add(2)
      news.destroying('k', 1)
      news.changed('k')
    }
    expect(await keys.useAny('k', work)).toMatchObject({ key: { id: 2 } })
    expect(used).toEqual([1, 2])
  })

  it('is not used before it is admitted, and is looked for again when another has changed keys', async () => {
    const { keys, calls, other, news } = start(1)
    await keys.use('k', 1, () => Promise.resolve())
    let admit = () => {}
    other.admission = new Promise((resolve) => (admit = resolve))
    const state = { used: false }
    const using = keys.use('k', 1, async () => void (state.used = true))
    await new Promise((resolve) => setImmediate(resolve))
    expect(state.used).toBe(false)
    other.admission = undefined
    news.changed('k')
    admit()
    await using
    expect(calls).toEqual(['find', 'forget k', 'find'])
  })

  it('is not answered for before all that others did has been told', async () => {
    const { keys, other, news } = start(1)
    let catchUp = () => {}
    const decrypting = keys.use('k', 1, async () => {
      other.caughtUp = new Promise((resolve) => (catchUp = resolve))
      return 'what the successor makes of it'
    })
    // what was missed while the connection was cut
    setImmediate(() => {
      news.destroying('k', 1)
      catchUp()
    })
    await expect(decrypting).rejects.toMatchObject({ code: 'KEY_NOT_FOUND' })
  })

  it('stays where the others cannot be told', async () => {
    const there = new Set([1])
    const keys = new LabelKeys(
      {
        findKeys: () => Promise.resolve([]),
        destroyKey: async ({ id }) => void there.delete(id),
        forgetKeys: () => {},
      },
      { ...ALONE, destroying: () => Promise.reject(new Error('the database is away')) },
    )
    const key = { label: 'k', id: 1, ckaId: encodeKeyId(1), private: true }
    await expect(keys.change('k', () => keys.destroy(key))).rejects.toThrow('the database is away')
    expect([...there]).toEqual([1])
  })
})
