import { describe, expect, it } from 'vitest'
import { DECOY_HASH } from '../../src/accounts/password.js'
import { type Attempt, AttemptLimits } from '../../src/auth/attempt-limits.js'
import { Login } from '../../src/auth/login.js'

function start() {
  let now = 0
  const limits = new AttemptLimits(() => now)
  return { limits, advance: (ms: number) => (now += ms) }
}

/** How many attempts may be made at once. */
function count(attempt: () => Attempt | number): number {
  let made = 0
  while (typeof attempt() !== 'number') made++
  return made
}

/** What passwords are compared with in a moment, so that the test need not wait. */
const CHEAP = DECOY_HASH.replace('ln=15,r=8,p=3', 'ln=1,r=1,p=1')

describe('a login', () => {
  it('that was refused because too many are under way does not count against its account', async () => {
    const { limits } = start()
    const account = {
      serviceId: 'udm',
      role: 'udm',
      credentialVersion: 1,
      disabledAt: undefined,
      createdAt: '',
      passwordHash: CHEAP,
    } as const
    const login = new Login({ credentials: () => Promise.resolve(account) }, limits)
    const wrong = Array.from({ length: 70 }, (_, at) => login.check('udm', `wrong ${at}`, `10.0.0.${at}`))
    const codes = (await Promise.allSettled(wrong)).map((each) => (each.status === 'rejected' ? each.reason.code : ''))
    expect(codes.filter((code) => code === 'RATE_LIMITED')).toHaveLength(4)
    expect(codes.filter((code) => code === 'UNAUTHORIZED')).toHaveLength(66)
    let host = 0
    expect(count(() => limits.begin('udm', `10.0.1.${host++}`))).toBe(100 - 66)
  })

  it('that could not be decided because the accounts cannot be read does not count either', async () => {
    const { limits } = start()
    const login = new Login({ credentials: () => Promise.reject(new Error('away')) }, limits)
    for (let made = 0; made < 6; made++) await expect(login.check('udm', 'right', '10.0.0.1')).rejects.toThrow('away')
    expect(count(() => limits.begin('udm', '10.0.0.1'))).toBe(5)
  })
})

describe('attempts to log in', () => {
  it('are five for an account from one address, then one each 12 s', () => {
    const { limits, advance } = start()
    expect(count(() => limits.begin('udm', '10.0.0.1'))).toBe(5)
    expect(limits.begin('udm', '10.0.0.1')).toBe(12_000)
    advance(11_999)
    expect(limits.begin('udm', '10.0.0.1')).toBe(1)
    advance(1)
    expect(count(() => limits.begin('udm', '10.0.0.1'))).toBe(1)
  })

  it('do not count when they succeed', () => {
    const { limits } = start()
    for (let made = 0; made < 1_000; made++) {
      const attempt = limits.begin('udm', '10.0.0.1')
      expect(attempt).toBeTypeOf('object')
      if (typeof attempt === 'object') attempt.giveBack()
    }
  })

  it('of one address and account do not lock out another address', () => {
    const { limits } = start()
    count(() => limits.begin('udm', '10.0.0.1'))
    expect(limits.begin('udm', '10.0.0.2')).toBeTypeOf('object')
  })

  it('are thirty from one address, whatever the account', () => {
    const { limits } = start()
    let name = 0
    expect(count(() => limits.begin(`guess-${name++}`, '10.0.0.1'))).toBe(30)
  })

  it('are a hundred for one account, whatever the address', () => {
    const { limits } = start()
    let host = 0
    expect(count(() => limits.begin('udm', `10.0.0.${host++}`))).toBe(100)
  })

  it.each([
    ['2001:db8:1:2::1', '2001:db8:1:2:ffff:1:2:3', 5],
    ['2001:db8:1:2::1', '2001:db8:1:3::1', 10],
    ['::ffff:10.0.0.1', '::ffff:10.0.0.2', 10],
  ])('from %s and %s are %i together', (one, other, expected) => {
    const { limits } = start()
    expect(count(() => limits.begin('udm', one)) + count(() => limits.begin('udm', other))).toBe(expected)
  })

  it('with ever new names take no more memory than so much, and the newest are kept', () => {
    const { limits, advance } = start()
    for (let name = 0; name < 30_000; name++) {
      limits.begin(`guess-${name}`, `host-${name}`)
      advance(1)
    }
    expect(count(() => limits.begin('guess-29999', 'host-29999'))).toBe(4)
    expect(count(() => limits.begin('guess-1', 'host-1'))).toBe(5)
  })
})
