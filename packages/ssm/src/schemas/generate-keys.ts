import { type Static, Type } from 'typebox'
import { EXACT, handle, keyId } from './members.js'

export const generateAesKeyRequest = Type.Object(
  { id: keyId, bits: Type.Integer({ description: '128 or 256' }) },
  EXACT,
)

export const generateAesKeyAnswer = Type.Object({ handle, id: keyId, bits: Type.Integer() })

export const generateLegacyKeyRequest = Type.Object({ id: keyId }, EXACT)

export const generatedKeyAnswer = Type.Object({ handle, id: keyId })

export type GeneratedKeyAnswer = Static<typeof generatedKeyAnswer>
