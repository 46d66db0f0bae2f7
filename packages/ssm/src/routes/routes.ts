import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Hsm } from '../hsm/hsm.js'
import type { LabelKeys } from '../hsm/label-keys.js'
import type { Readiness } from '../hsm/readiness.js'

/** The application as routes see it: types of requests and answers come from their schemas. */
export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>

/** What routes work with. */
export interface RouteContext {
  hsm: Hsm
  keys: LabelKeys
  readiness: Readiness
  legacyAlgorithms: boolean
  keyCache: boolean
}
