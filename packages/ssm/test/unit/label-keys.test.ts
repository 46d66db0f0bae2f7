import { CryptokiError, Pkcs11PoolError } from 'pkcs11-pool'
import { describe, expect, it } from 'vitest'
import { LabelKeys } from '../../src/hsm/label-keys.js'
import type { StoredKey } from '../../src/hsm/stored-key.js'
import { keyOf } from './key-of.js'

/** A token that gives a new key the handle of the one destroyed before it, so that a late use of the old key meets the new one. */
function reusingToken(...ids: number[]) {
  let destroyed = async () => {}
  const handles = new Map(ids.map((id) => [id, id]))
  const keys = new LabelKeys({
    forgetKeys: () => {},
    findKeys: () => Promise.resolve([...handles.keys()].map(keyOf)),
    destroyKey: async ({ id }) => {
      handles.delete(id)
      await destroyed()
    },
  })
  /** What happens once a key is gone on the token, and before whoever destroyed it knows. */
  const onceDestroyed = (happen: () => Promise<void>) => {
    destroyed = happen
  }
  const destroy = (id: number) => keys.change('k', () => keys.destroy(keyOf(id)))
  const rotate = (id: number) =>
    keys.change('k', async () => {
      await keys.destroy(keyOf(id))
      handles.set(id, id)
    })
  return { keys, destroy, rotate, onceDestroyed }
}

/** What tokens answer, among others, for a key that is destroyed while they look at it. */
const refusal = () =>
  new CryptokiError('CRYPTOKI', '', {
    rv: 0x68,
    rvName: 'CKR_KEY_FUNCTION_NOT_PERMITTED',
    fn: 'C_EncryptInit',
    category: 'caller',
  })

describe('a decryption', () => {
  it('answers what the token said where no key was destroyed', async () => {
    const { keys } = reusingToken(1)
    expect(await keys.use('k', 1, () => Promise.resolve('plain'))).toMatchObject({ value: 'plain', key: { id: 1 } })
  })

  it('is KEY_NOT_FOUND where its key was destroyed while it was under way, whatever the token said', async () => {
    const { keys, rotate } = reusingToken(1)
    const decrypting = keys.use('k', 1, async () => {
      await rotate(1)
      return 'what the new key makes of it'
    })
    await expect(decrypting).rejects.toMatchObject({ code: 'KEY_NOT_FOUND' })

    // SoftHSM takes the type of a key that goes away while it looks at it for one that no mechanism is for
    for (const [code, rv, rvName] of [
      ['CRYPTOKI', 5, 'CKR_GENERAL_ERROR'],
      ['MECHANISM_NOT_SUPPORTED', 0x70, 'CKR_MECHANISM_INVALID'],
    ] as const) {
      const failing = keys.use('k', 1, async () => {
        await rotate(1)
        throw new CryptokiError(code, '', { rv, rvName, fn: 'C_Decrypt', category: 'session' })
      })
      await expect(failing).rejects.toMatchObject({ code: 'KEY_NOT_FOUND' })
    }
  })

  it('is KEY_NOT_FOUND where the token refuses it for a key that is being destroyed', async () => {
    const { keys, destroy, onceDestroyed } = reusingToken(1)
    const decrypting = keys.use('k', 1, async () => {
      // the answer is there before the one to the destruction
      await new Promise<void>((gone) => {
        onceDestroyed(() => new Promise<void>((resume) => (gone(), setImmediate(resume))))
        void destroy(1)
      })
      throw refusal()
    })
    await expect(decrypting).rejects.toMatchObject({ code: 'KEY_NOT_FOUND' })
  })

  it('says that nobody knows where nobody knows', async () => {
    const { keys, rotate } = reusingToken(1)
    const lost = keys.use('k', 1, async () => {
      await rotate(1)
      throw new Pkcs11PoolError('OPERATION_TIMEOUT', '')
    })
    await expect(lost).rejects.toMatchObject({ code: 'OPERATION_TIMEOUT' })
  })

  it('is not concerned by the end of another key under its label', async () => {
    const { keys, destroy } = reusingToken(1, 2)
    const decrypting = keys.use('k', 1, async () => {
      await destroy(2)
      return 'plain'
    })
    expect(await decrypting).toMatchObject({ value: 'plain' })
  })

  it('of a destroyed key is not found afterwards', async () => {
    const { keys, destroy } = reusingToken(1)
    await keys.use('k', 1, () => Promise.resolve(''))
    await destroy(1)
    await expect(keys.use('k', 1, () => Promise.resolve(''))).rejects.toMatchObject({ code: 'KEY_NOT_FOUND' })
  })
})

describe('an encryption', () => {
  it('is done again with a key that is there where its own was destroyed meanwhile', async () => {
    const { keys, destroy } = reusingToken(1, 2)
    const used: number[] = []
    const { key } = await keys.useAny('k', async ({ id }: StoredKey) => {
      used.push(id)
      if (used.length === 1) await destroy(id)
      return id
    })
    expect(used).toHaveLength(2)
    expect(key.id).toBe(used[1])
    expect(used[1]).not.toBe(used[0])
  })

  it('is done again where the token refuses it for a key that was destroyed, or is being destroyed', async () => {
    const { keys, destroy, onceDestroyed } = reusingToken(1, 2, 3)
    let attempts = 0
    const { key } = await keys.useAny('k', async ({ id }) => {
      attempts++
      if (attempts === 1) {
        await destroy(id)
        throw refusal()
      }
      if (attempts === 2) {
        await new Promise<void>((gone) => {
          onceDestroyed(() => new Promise<void>((resume) => (gone(), setImmediate(resume))))
          void destroy(id)
        })
        throw refusal()
      }
      return id
    })
    expect([attempts, key.id]).toEqual([3, expect.any(Number)])
  })

  it('looks for another key where the picked one is gone', async () => {
    const { keys, destroy } = reusingToken(1, 2)
    let attempts = 0
    const { key } = await keys.useAny('k', async ({ id }) => {
      attempts++
      if (attempts > 1) return id
      await destroy(id)
      throw new Pkcs11PoolError('KEY_NOT_FOUND', '')
    })
    expect(key.id).toBeGreaterThan(0)
  })

  it('has key changes wait for it in the end, however often keys are rotated', async () => {
    const { keys, rotate } = reusingToken(1)
    const rotations: Promise<void>[] = []
    let attempts = 0
    const encrypting = keys.useAny('k', async ({ id }) => {
      attempts++
      const rotation = rotate(1)
      rotations.push(rotation)
      // with the label to itself, waiting for a change would be waiting for itself
      if (attempts <= 2) await rotation
      return id
    })
    expect(await encrypting).toMatchObject({ value: 1 })
    await Promise.all(rotations)
    expect(attempts).toBe(3)
  })

  it('is KEY_NOT_FOUND where its only key was destroyed', async () => {
    const { keys, destroy } = reusingToken(1)
    const encrypting = keys.useAny('k', async ({ id }) => {
      await destroy(1)
      return id
    })
    await expect(encrypting).rejects.toMatchObject({ code: 'KEY_NOT_FOUND' })
  })
})

describe('changes under a label', () => {
  it('come one after the other, also after one that failed', async () => {
    const { keys } = reusingToken()
    const order: string[] = []
    const first = keys.change('k', async () => {
      order.push('first begins')
      await Promise.resolve()
      order.push('first ends')
      throw new Error('no')
    })
    const second = keys.change('k', async () => void order.push('second'))
    await expect(first).rejects.toThrow('no')
    await second
    expect(order).toEqual(['first begins', 'first ends', 'second'])
  })
})
