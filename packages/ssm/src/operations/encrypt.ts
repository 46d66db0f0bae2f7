import { randomBytes } from 'node:crypto'
import { type Algorithm, cipherMechanism, ivBytes } from '../crypto/algorithms.js'
import { anyKey } from '../hsm/choose-key.js'
import type { Hsm } from '../hsm/hsm.js'
import type { LabelKeys } from '../hsm/label-keys.js'
import { Problem } from '../problems/problem.js'
import type { Plan } from './plan.js'

const MOST_OLD_WAY = 32

/** What an encryption answers. */
export interface Encrypted {
  cipher: Buffer
  iv: Buffer
  /** the id of the key that was picked */
  id: number
}

/** One way to encrypt with some key under a label. */
export type Encrypt = (keyLabel: string, algorithm: Algorithm, plain: Uint8Array) => Promise<Encrypted>

/** With an initialisation vector that was never used before. */
export function planEncrypt(keyLabel: string, algorithm: Algorithm, plain: Uint8Array) {
  const iv = randomBytes(ivBytes(algorithm))
  const step = { op: 'encrypt', mechanism: cipherMechanism(algorithm, iv), data: plain } as const
  return { label: keyLabel, id: undefined, step, iv } satisfies Plan & { iv: Buffer }
}

/** On a pooled session, with a key whose handle is known. */
export function encryptPooled(hsm: Hsm, keys: LabelKeys): Encrypt {
  return async (keyLabel, algorithm, plain) => {
    const { step, iv } = planEncrypt(keyLabel, algorithm, plain)
    const { key, value } = await keys.useAny(keyLabel, (picked) => hsm.encrypt(picked, step.mechanism, step.data))
    return { cipher: value, iv, id: key.id }
  }
}

/** On a pooled session, the key looked for each time. */
export function encryptFinding(hsm: Hsm, keys: LabelKeys): Encrypt {
  return searching((...search) => hsm.findAndEncrypt(...search), keys)
}

/**
 * On a session opened, logged in and closed for this one request: what the pool is compared with. No more than {@link MOST_OLD_WAY}
 * at once, because each takes one of the token's sessions beside those of the pool.
 */
export function encryptOldWay(hsm: Hsm, keys: LabelKeys): Encrypt {
  let underWay = 0
  return searching(async (...search) => {
    if (underWay === MOST_OLD_WAY) {
      throw new Problem(
        'POOL_EXHAUSTED',
        `timeout waiting for available connection was certain: ${MOST_OLD_WAY} requests have a session of their own already; ` +
          'use /crypto/encrypt, or try again with less at once',
        { headers: { 'retry-after': '1' } },
      )
    }
    underWay++
    try {
      return await hsm.openFindAndEncrypt(...search)
    } finally {
      underWay--
    }
  }, keys)
}

function searching(encrypt: Hsm['findAndEncrypt'], keys: LabelKeys): Encrypt {
  return async (keyLabel, algorithm, plain) => {
    const { step, iv } = planEncrypt(keyLabel, algorithm, plain)
    const { key, ciphertext } = await keys.untilNotDestroyed(keyLabel, () =>
      encrypt(keyLabel, anyKey(keyLabel), step.mechanism, step.data),
    )
    return { cipher: ciphertext, iv, id: key.id }
  }
}
