import type { Sealed } from '../hsm/hsm.js'
import type { Encrypted } from '../operations/encrypt.js'
import type { DecryptAesGcmAnswer, EncryptAesGcmAnswer } from '../schemas/aes-gcm.js'
import type { DecryptAnswer } from '../schemas/decrypt.js'
import type { EncryptAnswer } from '../schemas/encrypt.js'

export function encryptAnswerOf({ cipher, iv, id }: Encrypted): EncryptAnswer {
  return { cipher: cipher.toString('hex'), iv: iv.toString('hex'), id, ok: true, ...madeNow() }
}

export function decryptAnswerOf(plain: Buffer): DecryptAnswer {
  return { plain: plain.toString('hex') }
}

export function encryptAesGcmAnswerOf({ ciphertext, iv, tag, id }: Sealed & { id: number }): EncryptAesGcmAnswer {
  return {
    cipher: ciphertext.toString('hex'),
    iv: iv.toString('hex'),
    tag: tag.toString('hex'),
    id,
    ok: true,
    ...madeNow(),
  }
}

export function decryptAesGcmAnswerOf(plain: Buffer, id: number): DecryptAesGcmAnswer {
  return { plain: plain.toString('hex'), id, ok: true, ...madeNow() }
}

function madeNow(): { time_created: string; time_updated: string } {
  const now = new Date().toISOString()
  return { time_created: now, time_updated: now }
}
