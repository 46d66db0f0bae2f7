import { describe, expect, it } from 'vitest'
import type { NativeModuleInfo, NativeSlotInfo, NativeTokenInfo } from '../../src/pkcs11/protocol.js'
import { describeModule, describeToken, selectSlot, type TokenSelector } from '../../src/pkcs11/token-info.js'

const TOKEN_INITIALIZED = 0x400

function token(changes: Partial<NativeTokenInfo> = {}): NativeTokenInfo {
  return {
    label: 'demo',
    manufacturerID: 'SoftHSM project',
    model: 'SoftHSM v2',
    serialNumber: '7d1c',
    flags: TOKEN_INITIALIZED | 0x1 | 0x4 | 0x8,
    maxSessionCount: 0,
    sessionCount: 3,
    maxRwSessionCount: 0,
    rwSessionCount: 2,
    maxPinLen: 255,
    minPinLen: 4,
    totalPublicMemory: -1,
    freePublicMemory: -1,
    totalPrivateMemory: 4096,
    freePrivateMemory: 0,
    hardwareVersion: [2, 6],
    firmwareVersion: [2, 6],
    ...changes,
  }
}

function slot(slotID: number, changes: Partial<NativeTokenInfo> | null = {}): NativeSlotInfo {
  return {
    slotID,
    slotDescription: `slot number ${slotID}`,
    manufacturerID: 'maker',
    flags: 0x1,
    token: changes === null ? null : token(changes),
    mechanisms: [],
  }
}

function refusal(slots: NativeSlotInfo[], selector: TokenSelector): unknown {
  try {
    return selectSlot({ slots }, selector)
  } catch (error) {
    return error
  }
}

describe('what a module tells of itself', () => {
  const info: NativeModuleInfo = {
    cryptokiVersion: [2, 40],
    manufacturerID: 'SoftHSM',
    libraryDescription: 'Implementation of PKCS11',
    libraryVersion: [2, 6],
    interfaceVersion: [3, 0],
    slots: [
      {
        ...slot(5),
        flags: 0x5,
        mechanisms: [
          [0x1085, 16, 32, 0x60300],
          [0x80000001, 0, 0, 0x80000001],
        ],
      },
      slot(9, null),
    ],
  }

  it('has versions, names of flags and mechanisms, and no token where the slot is empty', () => {
    const described = describeModule(info)
    expect(described).toMatchObject({ cryptokiVersion: '2.40', libraryVersion: '2.6', interfaceVersion: '3.0' })
    expect(described.slots[0]).toMatchObject({ slotId: 5, flags: ['CKF_TOKEN_PRESENT', 'CKF_HW_SLOT'] })
    expect(described.slots[0]?.mechanisms).toEqual([
      {
        name: 'CKM_AES_CBC_PAD',
        type: 0x1085,
        minKeySize: 16,
        maxKeySize: 32,
        flags: ['CKF_ENCRYPT', 'CKF_DECRYPT', 'CKF_WRAP', 'CKF_UNWRAP'],
      },
      { name: 'CKM_0x80000001', type: 0x80000001, minKeySize: 0, maxKeySize: 0, flags: ['CKF_HW', 'CKF_EXTENSION'] },
    ])
    expect(described.slots[1]?.token).toBeUndefined()
  })

  it('tells a limit that is infinite from one that is not told, and a count of 0 from either', () => {
    expect(describeToken(token({ maxSessionCount: 0, sessionCount: 0, freePrivateMemory: 0 }))).toMatchObject({
      maxSessionCount: Number.POSITIVE_INFINITY,
      sessionCount: 0,
      freePrivateMemory: 0,
    })
    expect(describeToken(token({ maxSessionCount: -1, sessionCount: -1 }))).toMatchObject({
      maxSessionCount: undefined,
      sessionCount: undefined,
      totalPublicMemory: undefined,
    })
    expect(describeToken(token({ maxSessionCount: 1024 })).maxSessionCount).toBe(1024)
  })

  it('names the flags of a token', () => {
    expect(describeToken(token({ flags: 0x40401 })).flags).toEqual([
      'CKF_RNG',
      'CKF_TOKEN_INITIALIZED',
      'CKF_USER_PIN_LOCKED',
    ])
  })
})

describe('the token asked for', () => {
  const slots = [
    slot(1, { label: 'a', serialNumber: 's1' }),
    slot(2, null),
    slot(3, { label: 'b', serialNumber: 's3' }),
  ]

  it.each<[TokenSelector, number]>([
    [{ label: 'b' }, 3],
    [{ serial: 's1' }, 1],
    [{ slot: 3 }, 3],
    [{ slot: 3n }, 3],
  ])('is found by %o', (selector, slotID) => {
    expect(selectSlot({ slots }, selector).slotID).toBe(slotID)
  })

  it.each<[TokenSelector, string]>([
    [{ label: 'c' }, 'no token has label "c"'],
    [{ serial: 'c' }, 'no token has serial "c"'],
    [{ slot: 7 }, 'no token has slot 7'],
    [{ slot: 2 }, 'slot 2 holds no token'],
  ])('is not found by %o, and the error lists those there are', (selector, problem) => {
    expect(refusal(slots, selector)).toMatchObject({
      code: 'TOKEN_NOT_FOUND',
      message: `${problem}; there are: label "a" serial "s1" slot 1; label "b" serial "s3" slot 3`,
    })
  })

  it('is not found where the module has none at all', () => {
    expect(refusal([slot(2, null)], { label: 'a' })).toMatchObject({
      code: 'TOKEN_NOT_FOUND',
      message: expect.stringContaining('the module has no token at all'),
    })
  })

  it('is refused where several have its label, and the error lists them', () => {
    const twins = [slot(1, { label: 'a', serialNumber: 's1' }), slot(4, { label: 'a', serialNumber: 's4' })]
    expect(refusal(twins, { label: 'a' })).toMatchObject({
      code: 'TOKEN_AMBIGUOUS',
      message:
        '2 tokens have label "a", expected one: label "a" serial "s1" slot 1; label "a" serial "s4" slot 4; select by serial number',
    })
  })

  it('is refused where it was never initialised, by slot and by label', () => {
    const fresh = [slot(8, { label: '', flags: 0 })]
    expect(refusal(fresh, { slot: 8 })).toMatchObject({ code: 'TOKEN_NOT_INITIALIZED' })
    expect(refusal(fresh, { label: '' })).toMatchObject({ code: 'TOKEN_NOT_INITIALIZED' })
  })

  it('is the initialised one where a blank token happens to have the same label', () => {
    const both = [slot(1, { label: 'a', flags: 0 }), slot(4, { label: 'a' })]
    expect(selectSlot({ slots: both }, { label: 'a' }).slotID).toBe(4)
  })
})
