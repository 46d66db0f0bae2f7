import { Type } from 'typebox'
import { MAX_KEY_ID } from '../hsm/key-id.js'

/** Form and meaning of the members that several routes share. What is hex is decoded by `decodeHex`, which names what is wrong. */

/** Without a NUL, which some take for the end, and without half of a surrogate pair, which is in no UTF-8. */
export const TEXT = '^[^\\u0000\\ud800-\\udfff]*$'

export const keyLabel = Type.String({
  minLength: 1,
  maxLength: 255,
  // a token that takes a NUL for the end would find a key of another label, a reserved one for instance
  pattern: TEXT,
  description: 'label of the key on the token',
})

export const keyId = Type.Integer({ minimum: 0, maximum: MAX_KEY_ID, description: 'id of the key; 0 means not given' })

export const handle = Type.Integer({
  description: "the low 31 bits of the key's handle on the token: for information, no route takes one",
})

export const hex = (description: string) => Type.String({ description: `${description}, in hex` })

export const time = (description: string) => Type.String({ format: 'date-time', description })

/** Every request is exactly what its schema says: a misspelt member is an error, not ignored. */
export const EXACT = { additionalProperties: false } as const
