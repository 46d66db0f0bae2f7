import { describe, expect, it } from 'vitest'
import { decodeHex } from '../../src/hex.js'
import { Problem } from '../../src/problems/problem.js'

describe('hex of a request', () => {
  it('is read in either case', () => {
    expect(decodeHex('plain', '00aBFf')).toEqual(Buffer.from([0, 0xab, 0xff]))
    expect(decodeHex('plain', '')).toEqual(Buffer.alloc(0))
  })

  it.each(['0', 'abc', 'zz', '0x00', ' 00 ', 'a-', '\u0130\u0130', '00\u0000\u0000', '٠٠'])(
    'is refused as INVALID_HEX where it is %j, naming the member and not the value',
    (text) => {
      let thrown: unknown
      try {
        decodeHex('cipher', text)
      } catch (error) {
        thrown = error
      }
      expect(thrown).toBeInstanceOf(Problem)
      const problem = thrown as Problem
      expect(problem.code).toBe('INVALID_HEX')
      expect(problem.message).toMatch(/^cipher: /)
    },
  )
})
