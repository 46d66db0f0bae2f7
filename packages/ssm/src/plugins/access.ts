import type { FastifyRequest } from 'fastify'
import type { Account } from '../accounts/accounts.js'
import { type Action, type DeclaredAction, mayDo } from '../auth/actions.js'
import { invalidOperation } from '../auth/auth-problems.js'
import type { Authentication } from '../auth/authentication.js'
import { isLoopback } from '../config/bind-address.js'
import { Problem } from '../problems/problem.js'
import type { App } from '../routes/routes.js'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** what a request to this route wants; `OPEN` lets everybody in who reaches the service. A route without it does not start */
    action?: DeclaredAction
  }
  interface FastifyRequest {
    /** who asks; null on an open route and before it is known */
    account: Account | null
    /** whether whoever asks may do something, for a route that does several things */
    mayDo(action: Action): boolean
  }
}

/**
 * Lets nobody in but those who may: every route has to say what a request to it wants, and what is not allowed is refused.
 *
 * @param authentication `none` lets everybody on this machine do everything
 */
export function controlAccess(app: App, authentication: Authentication | 'none'): void {
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
  app.addHook('onRequest', async (request) => {
    if (authentication === 'none') return requireLocalClient(request)
    const { action } = request.routeOptions.config
    // logging in is what one does without a token
    if (action === 'OPEN' || action === 'USER_LOGIN') return
    if (action === undefined) throw new Error('a route without an action was served')
    request.account = await authentication.identify(request.headers.authorization)
    if (action !== 'BATCH' && !request.mayDo(action)) throw invalidOperation()
  })
}

function requireLocalClient({ ip }: FastifyRequest): void {
  if (isLoopback(ip.replace(/^::ffff:/, ''))) return
  throw new Problem('FORBIDDEN', 'this service has no authentication, so it answers this machine only')
}
