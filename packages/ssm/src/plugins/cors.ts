import { fastifyCors } from '@fastify/cors'
import type { App } from '../routes/routes.js'

/** How long, in seconds, a browser may remember what it was told. */
const MAX_AGE_SECONDS = 600

/**
 * Lets pages of these origins, and no others, use the service from a browser. Without credentials of the browser's own: a token is sent
 * by the page.
 *
 * @param origins compared letter by letter
 */
export function allowOrigins(app: App, origins: readonly string[]): void {
  const allowed = new Set(origins)
  app.addHook('onRoute', (route) => {
    // the library's one route, which only has browsers' questions reach its hook
    if (route.url === '*' && route.method === 'OPTIONS') route.config = { ...route.config, action: 'OPEN' }
  })
  // called, not registered: what is registered waits for the start, and its hook would come after those that refuse, whose answers pages
  // have to be able to read
  fastifyCors(
    app,
    {
      origin: (origin, answer) => answer(null, origin !== undefined && allowed.has(origin) ? origin : false),
      methods: ['GET', 'POST', 'PUT', 'DELETE'],
      allowedHeaders: ['authorization', 'content-type'],
      exposedHeaders: ['retry-after', 'ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset', 'x-request-id'],
      maxAge: MAX_AGE_SECONDS,
      strictPreflight: false,
    },
    () => {},
  )
}
