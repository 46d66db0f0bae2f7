import { describe, expect, it } from 'vitest'
import { anyKey, keyWithId } from '../../src/hsm/choose-key.js'
import { decodeKeyId, encodeKeyId, encodeReplacementId } from '../../src/hsm/key-id.js'
import { type StoredKey, storedKey, visibleKeys } from '../../src/hsm/stored-key.js'

function key(ckaId: string): StoredKey {
  const bytes = Buffer.from(ckaId, 'hex')
  return { label: 'k', id: decodeKeyId(bytes)?.id ?? -1, ckaId: bytes, private: true }
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
    expect(decodeKeyId(Buffer.from(bytes, 'hex'))).toEqual({ id, replacement: false })
  })

  it.each(['80000000', 'ffffffff', '0000000001'])('does not read %j, which clients cannot name', (bytes) => {
    expect(decodeKeyId(Buffer.from(bytes, 'hex'))).toBeUndefined()
  })
})

describe('a key that is to replace another', () => {
  const found = (id: Buffer, handle: number) =>
    storedKey({ handle, label: 'k', id, private: true, keyType: 'CKK_AES', sizeBits: 128 })
  const handles = (...keys: { handle: number | bigint }[][]) => keys.flat().map(({ handle }) => handle)
  const old = found(encodeKeyId(5), 1)
  const replacement = found(encodeReplacementId(5), 2)

  it('is not there while the other is', () => {
    expect(handles(visibleKeys([...replacement, ...old]))).toEqual([1])
  })

  it('is there, with its id, as soon as the other is not', () => {
    const others = found(encodeKeyId(4), 3)
    expect(visibleKeys([...replacement, ...others]).map(({ id, handle }) => [id, handle])).toEqual([
      [5, 2],
      [4, 3],
    ])
  })

  it('is told from ids that only begin alike', () => {
    const begins = Buffer.concat([encodeReplacementId(5), Buffer.alloc(1)])
    expect([begins, Buffer.from('ssm:new:')].flatMap((id) => found(id, 1))).toEqual([])
  })
})

describe('the size of a key', () => {
  it.each([
    ['CKK_AES', 256, 256],
    ['CKK_DES', undefined, 64],
    ['CKK_DES3', undefined, 192],
    ['CKK_GENERIC_SECRET', undefined, 0],
  ])('of type %s is known where the token does not tell it, or 0', (keyType, sizeBits, expected) => {
    const [key] = storedKey({ handle: 1, label: 'k', id: encodeKeyId(1), private: true, keyType, sizeBits })
    expect(key?.sizeBits).toBe(expected)
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
