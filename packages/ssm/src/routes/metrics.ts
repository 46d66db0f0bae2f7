import { Type } from 'typebox'
import type { App, RouteContext } from './routes.js'

/** `GET /metrics`: the figures of the service, its process and its token, in Prometheus' text format. */
export function metricsRoutes(app: App, { metrics, client }: Pick<RouteContext, 'metrics' | 'client'>): void {
  app.get(
    '/metrics',
    {
      schema: {
        tags: ['service'],
        summary: 'All figures, for Prometheus',
        produces: ['text/plain'],
        response: { 200: Type.String() },
      },
      config: { action: 'OPERATOR' },
    },
    async (_request, reply) => {
      const text = await metrics.text(client)
      return reply.type(metrics.contentType).send(text)
    },
  )
}
