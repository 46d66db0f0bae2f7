import type { App, RouteContext } from './routes.js'

/**
 * `GET /crypto/health-check`: the service answers; clients ask it every few seconds and look for exactly `OK`. `/healthz` says the same to
 * an operator. Neither asks the token: `/readyz` does.
 */
export function healthRoutes(app: App, { readiness }: RouteContext): void {
  for (const path of ['/crypto/health-check', '/health-check']) {
    app.get(path, async () => ({ status: 'OK', message: 'Status is ok' }))
  }
  app.get('/healthz', async () => ({ status: 'ok' }))
  app.get('/readyz', async () => {
    await readiness.check()
    return { status: 'ready' }
  })
}
