import { describe, expect, it } from 'vitest'
import { anyKey, keyWithId } from '../../src/hsm/choose-key.js'
import type { StoredKey } from '../../src/hsm/hsm.js'
import { decodeKeyId, encodeKeyId } from '../../src/hsm/key-id.js'

function key(ckaId: string): StoredKey {
  const bytes = Buffer.from(ckaId, 'hex')
  return { label: 'k', id: decodeKeyId(bytes) ?? -1, ckaId: bytes }
}

describe('a key id', () => {
  it('is 4 bytes, big-endian, on the token', () => {
    expect(encodeKeyId(258).toString('hex')).toBe('00000102')
  })

  it.each([
    ['', 0],
    ['07', 7],
    ['0102', 258],
    ['00000007', 7],
    ['7fffffff', 0x7fff_ffff],
  ])('reads %j as %d', (bytes, id) => {
    expect(decodeKeyId(Buffer.from(bytes, 'hex'))).toBe(id)
  })

  it.each(['80000000', 'ffffffff', '0000000001'])('does not read %j, which clients cannot name', (bytes) => {
    expect(decodeKeyId(Buffer.from(bytes, 'hex'))).toBeUndefined()
  })
})

describe('the key to decrypt with', () => {
  it('is the one with the id, however many bytes the token has it in', () => {
    expect(keyWithId('k', 2)([key('01'), key('02')]).ckaId.toString('hex')).toBe('02')
  })

  it('is the only one where the id is 0', () => {
    expect(keyWithId('k', 0)([key('00000009')]).id).toBe(9)
  })

  it('is refused as KEY_AMBIGUOUS naming the ids where there are several', () => {
    expect(() => keyWithId('k', 0)([key('00000001'), key('00000002')])).toThrow(
      expect.objectContaining({
        code: 'KEY_AMBIGUOUS',
        message: expect.stringMatching(/ids there are 1 .* 2 /) as string,
      }),
    )
    expect(() => keyWithId('k', 1)([key('01'), key('00000001')])).toThrow(
      expect.objectContaining({ code: 'KEY_AMBIGUOUS' }),
    )
  })

  it('is refused as KEY_NOT_FOUND where there is none', () => {
    expect(() => keyWithId('k', 3)([key('01')])).toThrow(
      expect.objectContaining({ code: 'KEY_NOT_FOUND', message: expect.stringContaining('id 3') as string }),
    )
    expect(() => keyWithId('k', 0)([])).toThrow(expect.objectContaining({ code: 'KEY_NOT_FOUND' }))
  })
})

describe('the key to encrypt with', () => {
  it('is each of those there are, at random', () => {
    const keys = [key('01'), key('02'), key('03')]
    const picked = new Set(Array.from({ length: 500 }, () => anyKey('k')(keys).id))
    expect([...picked].sort()).toEqual([1, 2, 3])
  })

  it('is never one that a decrypt could not name', () => {
    const keys = [key('01'), key('00000001'), key('02'), key('')]
    for (let round = 0; round < 200; round++) expect(anyKey('k')(keys).id).toBe(2)
  })

  it('may have id 0 where it is the only one', () => {
    expect(anyKey('k')([key('')]).id).toBe(0)
  })

  it('is refused as KEY_AMBIGUOUS where none can be named, and KEY_NOT_FOUND where there is none', () => {
    expect(() => anyKey('k')([key('01'), key('0001')])).toThrow(expect.objectContaining({ code: 'KEY_AMBIGUOUS' }))
    expect(() => anyKey('k')([])).toThrow(expect.objectContaining({ code: 'KEY_NOT_FOUND' }))
  })
})
