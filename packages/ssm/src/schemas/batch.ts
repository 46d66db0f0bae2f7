import { type Static, Type } from 'typebox'
import { EXACT } from './members.js'

const MOST_OPERATIONS = 1_000

export const batchRequest = Type.Object(
  {
    operations: Type.Array(
      Type.Object(
        {},
        {
          description:
            'operation: encrypt, decrypt, encrypt-aes-gcm or decrypt-aes-gcm; and beside it the members of a request to the route of that name',
        },
      ),
      { minItems: 1, maxItems: MOST_OPERATIONS },
    ),
  },
  EXACT,
)

export const batchAnswer = Type.Object({
  results: Type.Array(
    Type.Object({
      status: Type.Integer({ description: 'the status that the route would have answered with' }),
      body: Type.Unsafe<object>(
        Type.Object({}, { additionalProperties: true, description: 'its answer, or its problem' }),
      ),
    }),
    { description: 'one for each operation, in their order' },
  ),
})

export type BatchAnswer = Static<typeof batchAnswer>
