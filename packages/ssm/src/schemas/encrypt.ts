import { type Static, Type } from 'typebox'
import { EXACT, hex, keyId, keyLabel, time } from './members.js'

export const encryptRequest = Type.Object(
  {
    key_label: keyLabel,
    plain: hex('what to encrypt; may be empty'),
    encryption_algorithm: Type.Integer({ description: '5 AES-256, 6 AES-128, 7 DES, 8 DES3' }),
  },
  EXACT,
)

export const encryptAnswer = Type.Object({
  cipher: hex('the ciphertext'),
  iv: hex('the initialisation vector it was made with'),
  id: keyId,
  ok: Type.Literal(true),
  time_created: time('when the ciphertext was made'),
  time_updated: time('the same: a ciphertext is never changed'),
})

export type EncryptRequest = Static<typeof encryptRequest>
export type EncryptAnswer = Static<typeof encryptAnswer>
