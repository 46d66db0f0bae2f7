import { type Static, Type } from 'typebox'
import { EXACT, handle, keyId, keyLabel } from './members.js'

const keyInfo = Type.Object({
  handle,
  id: keyId,
  size_bits: Type.Integer({ description: 'the length of its value; 0 where the token does not tell' }),
})

export const getKeyRequest = Type.Object({ key_label: keyLabel, id: keyId }, EXACT)

export const getKeyAnswer = Type.Object({ key_info: keyInfo })

export const getDataKeysRequest = Type.Object({ key_label: keyLabel }, EXACT)

export const getDataKeysAnswer = Type.Object({ keys: Type.Array(keyInfo) })

export const getAllKeysRequest = Type.Object({}, EXACT)

export const getAllKeysAnswer = Type.Object({
  // not a Record: its pattern would leave out labels with line breaks
  keys_by_label: Type.Unsafe<Record<string, KeyInfo[]>>(
    Type.Object({}, { additionalProperties: Type.Array(keyInfo), description: 'the keys under each label' }),
  ),
  total_keys: Type.Integer(),
  total_labels: Type.Integer(),
})

export type KeyInfo = Static<typeof keyInfo>
