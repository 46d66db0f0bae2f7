import { Type } from 'typebox'

/** Clients look for exactly this. */
export const healthCheckAnswer = Type.Object({ status: Type.Literal('OK'), message: Type.String() })

export const healthzAnswer = Type.Object({ status: Type.Literal('ok') })

export const readyzAnswer = Type.Object({ status: Type.Literal('ready') })
