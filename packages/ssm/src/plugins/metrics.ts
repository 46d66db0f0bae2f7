import type { ServiceMetrics } from '../metrics/service-metrics.js'
import type { App } from '../routes/routes.js'

/** Counts every request that reaches a hook, whoever sent it and whatever became of it. Add it before what refuses requests. */
export function measureRequests(app: App, metrics: ServiceMetrics): void {
  app.addHook('onRequest', (request, reply, next) => {
    metrics.follow(request.raw, reply.raw, (status) => ({
      method: request.method,
      route: request.is404 ? undefined : request.routeOptions.url,
      action: request.routeOptions.config.action,
      status,
      seconds: reply.elapsedTime / 1000,
    }))
    next()
  })
}
