import { Problem } from '../problems/problem.js'
import type { App } from '../routes/routes.js'

/**
 * Refuses requests beyond so many at once, before anything is done for them: a service that takes everything in answers nobody in time.
 * What is open to everybody, such as the operator's probes, is answered all the same.
 *
 * @param max requests under way
 */
export function limitWaiting(app: App, max: number): void {
  let underWay = 0
  app.addHook('onRequest', (request, reply, next) => {
    const { action } = request.routeOptions.config
    if (action === 'OPEN' || action === 'OPERATOR') return next()
    if (underWay >= max) {
      throw new Problem(
        'POOL_EXHAUSTED',
        'timeout waiting for available connection was certain: too many requests are under way already; try again with less at once',
        { headers: { 'retry-after': '1' } },
      )
    }
    underWay++
    // comes once, also for a client that left before its answer
    reply.raw.once('close', () => {
      underWay--
    })
    next()
  })
}
