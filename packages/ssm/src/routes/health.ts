import { healthCheckAnswer, healthzAnswer, readyzAnswer } from '../schemas/health.js'
import { underBothNames } from './paths.js'
import type { App, RouteContext } from './routes.js'

/**
 * `GET /crypto/health-check`: the service answers; clients ask it every few seconds and look for exactly `OK`. `/healthz` says the same to
 * an operator. Neither asks the token: `/readyz` does.
 */
export function healthRoutes(app: App, { readiness }: RouteContext): void {
  for (const path of underBothNames('health-check')) {
    app.get(
      path,
      {
        schema: { tags: ['service'], summary: 'Says that the service answers', response: { 200: healthCheckAnswer } },
        config: { action: 'HEALTH_CHECK' },
      },
      async () => ({ status: 'OK' as const, message: 'Status is ok' }),
    )
  }
  app.get(
    '/healthz',
    {
      schema: { tags: ['service'], summary: 'Says that the service lives', response: { 200: healthzAnswer } },
      config: { action: 'OPEN', limited: false },
    },
    async () => ({ status: 'ok' as const }),
  )
  app.get(
    '/readyz',
    {
      schema: { tags: ['service'], summary: 'Says whether to send requests here', response: { 200: readyzAnswer } },
      config: { action: 'OPEN', limited: false },
    },
    async () => {
      await readiness.check()
      return { status: 'ready' as const }
    },
  )
}
