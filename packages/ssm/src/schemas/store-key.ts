import { type Static, Type } from 'typebox'
import { EXACT, handle, hex, keyId, keyLabel } from './members.js'

const ownCopy = hex('the value encrypted under SSM_ENC_KEY, the IV of 16 bytes first; "" where there is no such key')

export const storeKeyRequest = Type.Object(
  {
    key_label: Type.String({ ...keyLabel, description: 'K4_AES, K4_DES or K4_DES3' }),
    id: keyId,
    key_value: hex('the key itself'),
    key_type: Type.String({ description: 'AES, DES or DES3, as the label says' }),
  },
  EXACT,
)

export const storeKeyAnswer = Type.Object({ handle, cipher_key: ownCopy })

export const updateKeyAnswer = Type.Object({
  message: Type.String(),
  handle,
  key_label: Type.String(),
  cipher_key: ownCopy,
})

export const deleteKeyRequest = Type.Object({ key_label: keyLabel, id: keyId }, EXACT)

export const deleteKeyAnswer = Type.Object({ message: Type.String(), key_label: Type.String() })

export type StoreKeyRequest = Static<typeof storeKeyRequest>
