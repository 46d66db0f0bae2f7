import { type Static, Type } from 'typebox'
import { EXACT, hex, keyId, keyLabel, time } from './members.js'

const aad = Type.Optional(hex('data that is authenticated and not encrypted; "" where there is none'))

export const encryptAesGcmRequest = Type.Object(
  { key_label: keyLabel, plain: hex('what to encrypt; may be empty'), aad },
  EXACT,
)

export const encryptAesGcmAnswer = Type.Object({
  cipher: hex('the ciphertext'),
  iv: hex('the initialisation vector it was made with, 12 bytes'),
  tag: hex('what authenticates it, 16 bytes'),
  id: keyId,
  ok: Type.Literal(true),
  time_created: time('when the ciphertext was made'),
  time_updated: time('the same: a ciphertext is never changed'),
})

export const decryptAesGcmRequest = Type.Object(
  {
    key_label: keyLabel,
    id: Type.Optional(keyId),
    cipher: hex('the ciphertext'),
    iv: hex('the initialisation vector, 12 bytes'),
    tag: hex('what authenticates it, 16 bytes'),
    aad,
  },
  EXACT,
)

export const decryptAesGcmAnswer = Type.Object({
  plain: hex('what was encrypted'),
  id: keyId,
  ok: Type.Literal(true),
  time_created: time('when it was decrypted'),
  time_updated: time('the same'),
})

export type EncryptAesGcmRequest = Static<typeof encryptAesGcmRequest>
export type EncryptAesGcmAnswer = Static<typeof encryptAesGcmAnswer>
export type DecryptAesGcmRequest = Static<typeof decryptAesGcmRequest>
export type DecryptAesGcmAnswer = Static<typeof decryptAesGcmAnswer>
