import { underBothNames } from './paths.js'
import type { App, RouteContext } from './routes.js'

/**
 * `GET /crypto/health-check`: the service answers; clients ask it every few seconds and look for exactly `OK`. `/healthz` says the same to
 * an operator. Neither asks the token: `/readyz` does.
 */
export function healthRoutes(app: App, { readiness }: RouteContext): void {
  for (const path of underBothNames('health-check')) {
    app.get(path, { config: { action: 'HEALTH_CHECK' } }, async () => ({ status: 'OK', message: 'Status is ok' }))
  }
  app.get('/healthz', { config: { action: 'OPERATE' } }, async () => ({ status: 'ok' }))
  app.get('/readyz', { config: { action: 'OPERATE' } }, async () => {
    await readiness.check()
    return { status: 'ready' }
  })
}
