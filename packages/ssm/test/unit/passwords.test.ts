import { describe, expect, it } from 'vitest'
import { DECOY_HASH, hashPassword, makePassword, passwordMatches } from '../../src/accounts/password.js'
import { PasswordChecks, TooManyChecks } from '../../src/accounts/password-checks.js'

describe('a password', () => {
  it('is random and safe to paste', () => {
    const passwords = Array.from({ length: 200 }, makePassword)
    expect(new Set(passwords).size).toBe(200)
    for (const password of passwords) expect(password).toMatch(/^[A-Za-z0-9_][\w-]{31}$/)
  })

  it('matches its own hash only, and the hash says how it was made', async () => {
    const stored = await hashPassword('right')
    expect(stored).toMatch(/^\$scrypt\$ln=15,r=8,p=3\$/)
    expect(await Promise.all(['right', 'wrong', ''].map((each) => passwordMatches(each, stored)))).toEqual([
      true,
      false,
      false,
    ])
  })

  it('has another hash each time', async () => {
    const [one, other] = await Promise.all([hashPassword('same'), hashPassword('same')])
    expect(one).not.toBe(other)
  })

  it('is compared with a decoy of the same cost where there is no account', async () => {
    expect(DECOY_HASH.slice(0, DECOY_HASH.indexOf('$', 8))).toBe('$scrypt$ln=15,r=8,p=3')
    expect(await passwordMatches('anything', DECOY_HASH)).toBe(false)
  })

  it('is not compared with what is no hash', async () => {
    await expect(passwordMatches('x', 'x')).rejects.toThrow('no hash of a password')
  })
})

describe('checks of passwords', () => {
  it('that ask the same at the same time share one answer, others do not', async () => {
    const checks = new PasswordChecks()
    let made = 0
    const check = () => Promise.resolve(++made)
    const answers = await Promise.all([
      checks.share('udm', 'a', check),
      checks.share('udm', 'a', check),
      checks.share('udm', 'b', check),
      checks.share('other', 'a', check),
    ])
    expect(answers).toEqual([1, 1, 2, 3])
    expect(await checks.share('udm', 'a', check)).toBe(4)
  })

  it('are refused when too many wait', async () => {
    const checks = new PasswordChecks()
    // cheap ones, so that the test need not wait for real ones
    const stored = DECOY_HASH.replace('ln=15,r=8,p=3', 'ln=1,r=1,p=1')
    const outcomes = await Promise.allSettled(Array.from({ length: 70 }, () => checks.matches('x', stored)))
    const refused = outcomes.filter((each) => each.status === 'rejected')
    expect(refused).toHaveLength(4)
    for (const each of refused) expect(each.reason).toBeInstanceOf(TooManyChecks)
    expect(await checks.matches('x', stored)).toBe(false)
  })
})
