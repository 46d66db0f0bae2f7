import { randomBytes } from 'node:crypto'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import type { Client } from 'pkcs11-pool'
import { certificateNotBelieved } from './auth/auth-problems.js'
import type { Authentication } from './auth/authentication.js'
import { DEFAULTS, type SsmConfig } from './config/config.js'
import { describeRoutes } from './documentation/openapi.js'
import { ClientHsm } from './hsm/client-hsm.js'
import { LabelKeys } from './hsm/label-keys.js'
import { Readiness } from './hsm/readiness.js'
import { addressOf } from './limits/address.js'
import { createHttpServer } from './listen/http-server.js'
import { ServiceMetrics } from './metrics/service-metrics.js'
import { controlAccess } from './plugins/access.js'
import { type AuditOptions, auditRequests } from './plugins/audit.js'
import { allowOrigins } from './plugins/cors.js'
import { measureRequests } from './plugins/metrics.js'
import { KnownMethods } from './plugins/known-methods.js'
import { requireLoopbackHost } from './plugins/loopback-host.js'
import { RateLimit } from './plugins/rate-limit.js'
import { pathOfTarget, requireOneHost } from './plugins/request-target.js'
import { takeTurns } from './plugins/turns.js'
import { limitWaiting } from './plugins/waiting-limit.js'
import { answerBrokenRequest, refuseConnect } from './problems/broken-request.js'
import { problemFromError } from './problems/from-error.js'
import type { FailureCode } from './problems/from-library.js'
import type { Problem } from './problems/problem.js'
import { ALONE, type Replicas } from './replicas/replicas.js'
import { aesGcmRoutes } from './routes/aes-gcm.js'
import { batchRoutes } from './routes/batch.js'
import { decryptRoutes } from './routes/decrypt.js'
import { documentationRoutes } from './routes/documentation.js'
import { encryptRoutes } from './routes/encrypt.js'
import { generateKeyRoutes } from './routes/generate-keys.js'
import { getKeysRoutes } from './routes/get-keys.js'
import { healthRoutes } from './routes/health.js'
import { loginRoutes } from './routes/login.js'
import { metricsRoutes } from './routes/metrics.js'
import { poolStatsRoutes } from './routes/pool-stats.js'
import type { App, RouteContext } from './routes/routes.js'
import { storeKeyRoutes } from './routes/store-key.js'
import type { TlsIdentity } from './tls/tls-identity.js'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** what a failure of the token means on this route */
    failure?: FailureCode
  }
  interface FastifyInstance {
    /** from now on `/readyz` says no, and every answer closes its connection; requests are served all the same */
    retire(): void
  }
}

/** What {@link buildApp} needs. */
export interface AppOptions {
  /** the token; the caller closes it after the app */
  client: Client
  /** who may come in; `none` lets everybody on this machine do everything, which is for tests and measuring */
  authentication: Authentication | 'none'
  /** where requests are written down. @defaultValue nowhere */
  audit?: AuditOptions | undefined
  /** the other processes that change keys on the token; the caller closes it after the app. @defaultValue there are none */
  replicas?: Replicas
  /** defaults apply to what is left out */
  config?: Partial<
    Pick<
      SsmConfig,
      | 'legacyAlgorithms'
      | 'keyCache'
      | 'exposeSwaggerUi'
      | 'limits'
      | 'rateLimit'
      | 'corsOrigins'
      | 'certificateAccounts'
    >
  >
  /** whom the Host header may name; `loopback` is for plain HTTP that pages in browsers on this machine reach. @defaultValue `loopback` */
  hosts?: 'loopback' | 'any'
  /** speaks TLS with these certificates. @defaultValue plain HTTP */
  tls?: TlsIdentity | undefined
  /** where requests are counted, and which `GET /metrics` shows. @defaultValue new ones */
  metrics?: ServiceMetrics
  /** hears of each answer that is the service's or the token's fault, with its cause. @defaultValue nobody */
  onFailure?: (problem: Problem) => void
}

/**
 * Builds the HTTP application: routes, checks and problems, listening nowhere yet.
 *
 * @example
 * ```ts
 * const app = buildApp({ client, authentication: 'none' })
 * await app.inject({ method: 'GET', url: '/pool/stats' })
 * ```
 */
export function buildApp(options: AppOptions): App {
  const { client, authentication, audit, config = {}, hosts = 'loopback', tls, onFailure = () => {} } = options
  const { metrics = new ServiceMetrics(), replicas = ALONE } = options
  const { limits, rateLimit, corsOrigins, certificateAccounts } = { ...DEFAULTS, ...config }
  const app: App = Fastify({
    logger: false,
    genReqId: requestIds(),
    bodyLimit: limits.bodyLimitBytes,
    serverFactory: (handler) => createHttpServer(handler, limits, tls),
    rewriteUrl: pathOfTarget,
    // what arrives on an open connection while the service stops is still served; the answer closes the connection
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => answerError(error, request, reply),
    clientErrorHandler: answerBrokenRequest,
    ajv: {
      // Fastify's own choice is lenient: it turns "5" into 5 and drops members it does not know
      customOptions: {
        coerceTypes: false,
        removeAdditional: false,
        useDefaults: false,
        allErrors: false,
        verbose: true,
      },
    },
  }).withTypeProvider<TypeBoxTypeProvider>()

  app.server.on('connect', refuseConnect)
  const methods = new KnownMethods()
  const rates = authentication === 'none' || rateLimit === undefined ? undefined : new RateLimit(rateLimit)
  const hsm = new ClientHsm(client)
  metrics.observeClient(client)
  if (audit !== undefined) metrics.observeAudit(audit.log)
  const context: RouteContext = {
    client,
    metrics,
    hsm,
    keys: new LabelKeys(hsm, replicas),
    readiness: new Readiness({
      probe: async () => {
        await hsm.probe()
        await replicas.caughtUp()
      },
    }),
    onFailure,
    legacyAlgorithms: config.legacyAlgorithms ?? DEFAULTS.legacyAlgorithms,
    keyCache: config.keyCache ?? DEFAULTS.keyCache,
    exposeSwaggerUi: config.exposeSwaggerUi ?? DEFAULTS.exposeSwaggerUi,
  }

  app.decorate('retire', () => context.readiness.stop())
  app.removeContentTypeParser('text/plain')
  app.addHook('onRoute', ({ url, method }) => methods.add(url, method))
  measureRequests(app, metrics)
  takeTurns(app)
  // before all that refuse, so that pages can read whatever is answered to them
  if (corsOrigins.length > 0) allowOrigins(app, corsOrigins)
  app.addHook('onRequest', (request, reply, next) => {
    requireOneHost(request.raw, request.originalUrl)
    if (hosts === 'loopback') requireLoopbackHost(request.headers.host)
    if (tls?.believes(request.raw.socket) === false) throw certificateNotBelieved()
    // before the body is read: what it says does not matter where nothing is
    if (request.is404) {
      rates?.countAddress(addressOf(request), reply)
      throw methods.problemFor(request.method, pathOf(request))
    }
    reply.headers({ 'cache-control': 'no-store', 'x-request-id': request.id })
    next()
  })
  limitWaiting(app, limits.maxRequestsWaiting)
  controlAccess(app, authentication, {
    rateLimit: rates,
    certificateAccounts: new Map(Object.entries(certificateAccounts)),
  })
  if (audit !== undefined) auditRequests(app, audit)
  app.addHook('onSend', (request, reply, payload, next) => {
    // a connection kept alive would hold up the stop until its client lets go, or outlive the roots that its certificate was believed by
    if (context.readiness.stopping || tls?.isOutdated(request.raw.socket) === true) reply.header('connection', 'close')
    next(null, payload)
  })
  app.addHook('preClose', (done) => {
    app.retire()
    done()
  })
  app.setNotFoundHandler((request) => {
    throw methods.problemFor(request.method, pathOf(request))
  })
  app.setErrorHandler((error, request, reply) => answerError(error, request, reply))

  describeRoutes(app)
  // in a plugin of their own, because the description has to be ready for them first
  void app.register((plugin, _options, done) => {
    const routed = plugin.withTypeProvider<TypeBoxTypeProvider>()
    if (authentication !== 'none') loginRoutes(routed, authentication)
    addRoutes(routed, context)
    done()
  })
  return app

  function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
    const problem = problemFromError(error, request.routeOptions.config?.failure ?? 'INTERNAL_ERROR')
    if (problem.status >= 500) onFailure(problem)
    metrics.countProblem(problem.code)
    if (audit !== undefined) request.problemCode = problem.code
    reply
      .code(problem.status)
      .headers(problem.headers)
      .header('cache-control', 'no-store')
      .type('application/problem+json')
      .send(JSON.stringify(problem.toBody(pathOf(request))))
  }
}

/** Ids that no other run gives: they are in the audit, and in the answer's `x-request-id`. */
function requestIds(): () => string {
  const run = randomBytes(6).toString('hex')
  let count = 0
  return () => `${run}-${++count}`
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? '/'
}

function addRoutes(app: App, context: RouteContext): void {
  encryptRoutes(app, context)
  decryptRoutes(app, context)
  aesGcmRoutes(app, context)
  generateKeyRoutes(app, context)
  storeKeyRoutes(app, context)
  getKeysRoutes(app, context)
  batchRoutes(app, context)
  poolStatsRoutes(app, context)
  metricsRoutes(app, context)
  healthRoutes(app, context)
  documentationRoutes(app, context)
}
