import { describe, expect, it } from 'vitest'
import { AccountDirectory } from '../../src/accounts/account-directory.js'
import type { Account } from '../../src/accounts/accounts.js'

const account: Account = {
  serviceId: 'udm',
  role: 'udm',
  credentialVersion: 1,
  disabledAt: undefined,
  createdAt: '2026-01-01T00:00:00.000Z',
}

/** A store whose answers the test gives. */
function start() {
  const asked: { answer(accounts: Account[]): void; fail(): void }[] = []
  let now = 0
  const directory = new AccountDirectory(
    {
      list: () =>
        new Promise((resolve, reject) => {
          asked.push({ answer: resolve, fail: () => reject(new Error('the store is away')) })
        }),
    },
    () => now,
  )
  return { directory, asked, advance: (ms: number) => (now += ms) }
}

describe('the accounts as of a moment ago', () => {
  it('are read once for all who ask at the same time', async () => {
    const { directory, asked } = start()
    const both = [directory.get('udm'), directory.get('nobody')]
    expect(asked).toHaveLength(1)
    asked[0]?.answer([account])
    expect(await Promise.all(both)).toEqual([account, undefined])
  })

  it('are believed for 2 s without asking', async () => {
    const { directory, asked, advance } = start()
    const first = directory.get('udm')
    asked[0]?.answer([account])
    await first
    advance(1_999)
    expect(await directory.get('udm')).toEqual(account)
    expect(asked).toHaveLength(1)
  })

  it('let nobody in where reading them took so long that they may be 5 s old', async () => {
    const { directory, asked, advance } = start()
    const first = directory.get('udm')
    asked[0]?.answer([account])
    await first
    advance(4_000)
    const slow = directory.get('udm')
    advance(4_000)
    asked[1]?.answer([account])
    await expect(slow).rejects.toMatchObject({ name: 'StoreError' })
    const again = directory.get('udm')
    asked[2]?.answer([])
    expect(await again).toBeUndefined()
  })

  it('then are read again while nobody waits', async () => {
    const { directory, asked, advance } = start()
    const first = directory.get('udm')
    asked[0]?.answer([account])
    await first
    advance(2_000)
    expect(await directory.get('udm')).toEqual(account)
    expect(asked).toHaveLength(2)
    asked[1]?.answer([])
    await new Promise((resolve) => setImmediate(resolve))
    expect(await directory.get('udm')).toBeUndefined()
  })

  it('are waited for after 4 s, counted from when the store was asked and not from its answer', async () => {
    const { directory, asked, advance } = start()
    const first = directory.get('udm')
    advance(3_000)
    asked[0]?.answer([account])
    await first
    advance(1_000)
    const second = directory.get('udm')
    expect(asked).toHaveLength(2)
    asked[1]?.answer([{ ...account, disabledAt: '2026-01-02T00:00:00.000Z' }])
    expect(await second).toMatchObject({ disabledAt: '2026-01-02T00:00:00.000Z' })
  })

  it('are read anew for a token that is newer than they are', async () => {
    const { directory, asked, advance } = start()
    const first = directory.get('udm', 1)
    asked[0]?.answer([account])
    await first
    advance(1)
    const second = directory.get('udm', 2)
    await new Promise((resolve) => setImmediate(resolve))
    asked[1]?.answer([{ ...account, credentialVersion: 2 }])
    expect(await second).toMatchObject({ credentialVersion: 2 })
    advance(1)
    const made = directory.get('made just now', 1)
    await new Promise((resolve) => setImmediate(resolve))
    asked[2]?.answer([account, { ...account, serviceId: 'made just now' }])
    expect(await made).toMatchObject({ serviceId: 'made just now' })
  })

  it('let nobody in on what was true once when the store is away', async () => {
    const { directory, asked, advance } = start()
    const first = directory.get('udm')
    asked[0]?.answer([account])
    await first
    advance(4_000)
    const second = directory.get('udm')
    asked[1]?.fail()
    await expect(second).rejects.toThrow('the store is away')
    const third = directory.get('udm')
    asked[2]?.answer([account])
    expect(await third).toEqual(account)
  })
})
