import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify'
import type { Client } from 'pkcs11-pool'
import type { Hsm } from '../hsm/hsm.js'
import type { LabelKeys } from '../hsm/label-keys.js'
import type { Readiness } from '../hsm/readiness.js'
import type { ServiceMetrics } from '../metrics/service-metrics.js'
import type { Problem } from '../problems/problem.js'

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
  client: Pick<Client, 'metrics'>
  metrics: ServiceMetrics
  hsm: Hsm
  keys: LabelKeys
  readiness: Readiness
  legacyAlgorithms: boolean
  /** hears of an answer within an answer that is the service's or the token's fault */
  onFailure: (problem: Problem) => void
  keyCache: boolean
  exposeSwaggerUi: boolean
}
