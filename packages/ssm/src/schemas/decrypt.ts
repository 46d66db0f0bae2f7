import { type Static, Type } from 'typebox'
import { EXACT, hex, keyId, keyLabel } from './members.js'

export const decryptRequest = Type.Object(
  {
    key_label: keyLabel,
    id: keyId,
    cipher: hex('the ciphertext'),
    iv: Type.Optional(hex('the initialisation vector; without one, or with "", ECB')),
    encryption_algorithm: Type.Integer({ description: '1, 2, 5, 6 AES; 3, 7 DES; 4, 8 DES3' }),
    padding: Type.Optional(
      Type.String({
        description: 'with an iv: "none" reads data that was written without padding; "pkcs7" is the default',
      }),
    ),
  },
  EXACT,
)

export const decryptAnswer = Type.Object({ plain: hex('what was encrypted') })

export type DecryptRequest = Static<typeof decryptRequest>
export type DecryptAnswer = Static<typeof decryptAnswer>
