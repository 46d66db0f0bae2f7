import { Type } from 'typebox'
import { EXACT, TEXT } from './members.js'

export const loginRequest = Type.Object(
  {
    // a NUL is in no name, and PostgreSQL would not even look for it
    service_id: Type.String({
      minLength: 1,
      maxLength: 255,
      pattern: TEXT,
      description: 'the name of the account',
    }),
    password: Type.String({ minLength: 1, maxLength: 1024 }),
  },
  EXACT,
)

export const loginAnswer = Type.Object({
  token: Type.String({ description: 'a JWT, to be sent as Authorization: Bearer TOKEN; good for 24 hours' }),
  message: Type.String(),
})
