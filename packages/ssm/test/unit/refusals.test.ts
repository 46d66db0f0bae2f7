import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type AuditEvent, serviceEvent } from '../../src/audit/entry.js'
import { Refusals } from '../../src/audit/refusals.js'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

function start() {
  const written: AuditEvent[] = []
  let now = 0
  const refusals = new Refusals(
    (event) => written.push(event),
    () => now,
  )
  const refuse = (times: number, address: string, account: string | null = null) => {
    for (let made = 0; made < times; made++)
      refusals.record({ ...serviceEvent('NONE', new Date()), address, account, status: 404, error: 'NOT_FOUND' })
  }
  const counted = () =>
    written
      .filter(({ action }) => action === 'REFUSED')
      .map(({ account, address, count }) => [account ?? address, count])
  return { refusals, written, refuse, counted, advance: (ms: number) => (now += ms) }
}

describe('refused requests', () => {
  it('have entries of their own, a hundred of an address at once and one more a second, and the rest are counted', () => {
    const { written, refuse, counted, advance } = start()
    refuse(250, '192.0.2.1')
    expect(written).toHaveLength(100)
    advance(3_000)
    refuse(10, '192.0.2.1')
    expect(written).toHaveLength(103)
    expect(counted()).toEqual([])
    vi.advanceTimersByTime(10_000)
    expect(counted()).toEqual([['192.0.2.1', 157]])
    vi.advanceTimersByTime(10_000)
    expect(written).toHaveLength(104)
  })

  it('are counted by address, by network where it is IPv6, and by account where there is one', () => {
    const { refusals, refuse, counted } = start()
    refuse(101, '192.0.2.1')
    refuse(102, '192.0.2.2')
    refuse(100, '2001:db8::1')
    refuse(3, '2001:db8::2')
    refuse(104, '192.0.2.1', 'console')
    refusals.writeCounts()
    expect(counted()).toEqual([
      ['192.0.2.1', 1],
      ['192.0.2.2', 2],
      ['2001:db8::2', 3],
      ['console', 4],
    ])
  })

  it('write a thousand entries at once at most, and a hundred and one counts, from however many addresses', () => {
    const { refusals, written, refuse } = start()
    for (let from = 0; from < 5_000; from++) refuse(1, `10.0.${from >> 8}.${from & 255}`)
    expect(written).toHaveLength(1_000)
    refusals.writeCounts()
    expect(written).toHaveLength(1_101)
    expect(written.at(-1)).toMatchObject({ action: 'REFUSED', account: null, address: null, count: 3_900 })
  })
})
