import { CryptokiError } from 'pkcs11-pool'
import { describe, expect, it } from 'vitest'
import { encodeKeyId } from '../../src/hsm/key-id.js'
import { makeKey } from '../../src/operations/make-key.js'
import { keyOf } from './key-of.js'

const wanted = { label: 'k', ckaId: encodeKeyId(7) }
const failure = (rvName: string) =>
  new CryptokiError('CRYPTOKI', rvName, { rv: 5, rvName, fn: 'C_GenerateKey', category: 'session' })

/** Makes a key on a token that has the keys of these ids, each attempt ending as it is said. */
async function make(outcomes: readonly (number | Error)[], there: readonly number[] = []) {
  const left = [...outcomes]
  const made = makeKey({ findKeys: () => Promise.resolve(there.map(keyOf)) }, wanted, async () => {
    const outcome = left.shift()
    if (outcome instanceof Error) throw outcome
    return outcome
  })
  return { outcome: await made.catch((error: unknown) => error), attempts: outcomes.length - left.length }
}

describe('a key', () => {
  it.each(['CKR_GENERAL_ERROR', 'CKR_FUNCTION_FAILED', 'CKR_TEMPLATE_INCONSISTENT'])(
    'is made again where the token said only %s and does not have it',
    async (rvName) => {
      expect(await make([failure(rvName), failure(rvName), 42], [1])).toEqual({ outcome: 42, attempts: 3 })
    },
  )

  it('is made three times at most', async () => {
    const last = failure('CKR_GENERAL_ERROR')
    const outcomes = [failure('CKR_GENERAL_ERROR'), failure('CKR_GENERAL_ERROR'), last, 42]
    expect(await make(outcomes)).toEqual({ outcome: last, attempts: 3 })
  })

  it('is not made again where the token has it all the same', async () => {
    const only = failure('CKR_GENERAL_ERROR')
    expect(await make([only, 42], [7])).toEqual({ outcome: only, attempts: 1 })
  })

  it('is not made again where the token said why, or nobody knows what it did', async () => {
    for (const error of [failure('CKR_ATTRIBUTE_VALUE_INVALID'), new Error('a deadline passed')])
      expect(await make([error, 42])).toEqual({ outcome: error, attempts: 1 })
  })
})
