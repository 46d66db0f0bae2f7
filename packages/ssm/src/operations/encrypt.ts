import { randomBytes } from 'node:crypto'
import { type Algorithm, cipherMechanism, ivBytes } from '../crypto/algorithms.js'
import { anyKey } from '../hsm/choose-key.js'
import type { Hsm } from '../hsm/hsm.js'
import type { LabelKeys } from '../hsm/label-keys.js'

/** What an encryption answers. */
export interface Encrypted {
  cipher: Buffer
  iv: Buffer
  /** the id of the key that was picked */
  id: number
}

/** One way to encrypt with some key under a label. */
export type Encrypt = (keyLabel: string, algorithm: Algorithm, plain: Uint8Array) => Promise<Encrypted>

/** On a pooled session, with a key whose handle is known. */
export function encryptPooled(hsm: Hsm, keys: LabelKeys): Encrypt {
  return async (keyLabel, algorithm, plain) => {
    const iv = randomBytes(ivBytes(algorithm))
    const mechanism = cipherMechanism(algorithm, iv)
    const { key, value } = await keys.useAny(keyLabel, (picked) => hsm.encrypt(picked, mechanism, plain))
    return { cipher: value, iv, id: key.id }
  }
}

/** On a pooled session, the key looked for each time. */
export function encryptFinding(hsm: Hsm, keys: LabelKeys): Encrypt {
  return searching((...search) => hsm.findAndEncrypt(...search), keys)
}

/** On a session opened, logged in and closed for this one request: what the pool is compared with. */
export function encryptOldWay(hsm: Hsm, keys: LabelKeys): Encrypt {
  return searching((...search) => hsm.openFindAndEncrypt(...search), keys)
}

function searching(encrypt: Hsm['findAndEncrypt'], keys: LabelKeys): Encrypt {
  return async (keyLabel, algorithm, plain) => {
    const iv = randomBytes(ivBytes(algorithm))
    const mechanism = cipherMechanism(algorithm, iv)
    const { key, ciphertext } = await keys.untilNotDestroyed(keyLabel, () =>
      encrypt(keyLabel, anyKey(keyLabel), mechanism, plain),
    )
    return { cipher: ciphertext, iv, id: key.id }
  }
}
