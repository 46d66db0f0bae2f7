import { PAGE, PAGE_FILES, PAGE_POLICY } from '../documentation/page.js'
import type { App, RouteContext } from './routes.js'

const HIDDEN = { schema: { hide: true }, config: { action: 'OPEN' } } as const

/** `GET /openapi.json`: the routes, described by the schemas that check them. `GET /docs`: the same as a page on which to try them, where wanted. */
export function documentationRoutes(app: App, { exposeSwaggerUi }: RouteContext): void {
  app.get('/openapi.json', HIDDEN, () => app.swagger())
  if (!exposeSwaggerUi) return
  app.get('/docs', HIDDEN, (_request, reply) =>
    reply
      .type('text/html; charset=utf-8')
      .headers({
        'content-security-policy': PAGE_POLICY,
        'referrer-policy': 'no-referrer',
        'x-content-type-options': 'nosniff',
      })
      .send(PAGE),
  )
  for (const [name, { type, content }] of Object.entries(PAGE_FILES)) {
    app.get(`/docs/${name}`, HIDDEN, async (_request, reply) =>
      reply
        .type(type)
        .header('x-content-type-options', 'nosniff')
        .send(await content()),
    )
  }
}
