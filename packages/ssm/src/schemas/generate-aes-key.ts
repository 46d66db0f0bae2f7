import { Type } from 'typebox'
import { EXACT, keyId } from './members.js'

export const generateAesKeyRequest = Type.Object(
  { id: keyId, bits: Type.Integer({ description: '128 or 256' }) },
  EXACT,
)

export const generateAesKeyAnswer = Type.Object({
  handle: Type.Integer({
    description: "the low 31 bits of the key's handle on the token: for information, no route takes one",
  }),
  id: keyId,
  bits: Type.Integer(),
})
