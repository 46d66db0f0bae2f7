import type { FastifyRequest } from 'fastify'
import type { Account } from '../accounts/accounts.js'
import { type Action, type DeclaredAction, mayDo, OPERATOR_ROLE } from '../auth/actions.js'
import { invalidOperation } from '../auth/auth-problems.js'
import type { Authentication } from '../auth/authentication.js'
import { isLoopback } from '../config/bind-address.js'
import { addressOf, UNIX_SOCKET } from '../limits/address.js'
import { Problem } from '../problems/problem.js'
import type { App } from '../routes/routes.js'
import { subjectOf } from '../tls/peer.js'
import type { RateLimit } from './rate-limit.js'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** what a request to this route wants; `OPEN` lets everybody in who reaches the service. A route without it does not start */
    action?: DeclaredAction
    /** false answers however many ask: for the operator's probes */
    limited?: false
  }
  interface FastifyRequest {
    /** who asks; null on an open route and before it is known */
    account: Account | null
    /** whether whoever asks may do something, for a route that does several things */
    mayDo(action: Action): boolean
  }
}

/** How else clients are known, and how often they may ask. */
export interface AccessOptions {
  rateLimit: RateLimit | undefined
  /** accounts by the subject of the certificate that stands for each */
  certificateAccounts: ReadonlyMap<string, string>
}

/**
 * Lets nobody in but those who may: every route has to say what a request to it wants, and what is not allowed is refused.
 *
 * @param authentication `none` lets everybody on this machine do everything
 */
export function controlAccess(
  app: App,
  authentication: Authentication | 'none',
  { rateLimit, certificateAccounts }: AccessOptions,
): void {
  app.decorateRequest('account', null)
  app.decorateRequest('mayDo', function (action) {
    if (authentication === 'none') return true
    return this.account !== null && mayDo(this.account.role, action)
  })
  app.addHook('onRoute', ({ url, method, config }) => {
    if (config?.action === undefined)
      throw new Error(
        `the route ${String(method)} ${url} declares no action: add config: { action } to it, or it cannot be served`,
      )
  })
  // before the body is read
  app.addHook('onRequest', async (request, reply) => {
    if (authentication === 'none') return requireLocalClient(request)
    const { action, limited } = request.routeOptions.config
    // logging in is what one does without a token
    if (action === 'OPEN' || action === 'USER_LOGIN') {
      if (limited !== false) rateLimit?.countAddress(addressOf(request), reply)
      return
    }
    if (action === undefined) throw new Error('a route without an action was served')
    if (action === 'OPERATOR' && isLocalClient(request)) return
    try {
      request.account = await whoAsks(authentication, request)
    } catch (error) {
      rateLimit?.countAddress(addressOf(request), reply)
      throw error
    }
    rateLimit?.countAccount(request.account.serviceId, reply)
    if (action === 'BATCH') return
    const may = action === 'OPERATOR' ? request.account.role === OPERATOR_ROLE : request.mayDo(action)
    if (!may) throw invalidOperation()
  })

  /** A token counts before a certificate: whoever sends one means it. */
  function whoAsks(authentication: Authentication, request: FastifyRequest): Promise<Account> {
    const { authorization } = request.headers
    if (authorization === undefined && certificateAccounts.size > 0) {
      const serviceId = certificateAccounts.get(subjectOf(request.raw.socket) ?? '')
      if (serviceId !== undefined) return authentication.identifyByName(serviceId)
    }
    return authentication.identify(authorization)
  }
}

function requireLocalClient(request: FastifyRequest): void {
  if (isLocalClient(request)) return
  throw new Problem('FORBIDDEN', 'this service has no authentication, so it answers this machine only')
}

/** True where the other end of the connection is on this machine; what a header says of it does not count. */
function isLocalClient({ socket }: FastifyRequest): boolean {
  const address = addressOf({ ip: socket.remoteAddress })
  return address === UNIX_SOCKET || isLoopback(address.replace(/^::ffff:/, ''))
}
