import { Type } from 'typebox'
import type { App, RouteContext } from './routes.js'

const query = Type.Object({ verbose: Type.Optional(Type.String()) })

/** `GET /pool/stats`: the four figures of the requirements; with `?verbose` all there are. */
export function poolStatsRoutes(app: App, { hsm }: RouteContext): void {
  app.get(
    '/pool/stats',
    {
      schema: { tags: ['service'], summary: 'The figures of the pool of sessions', querystring: query },
      config: { action: 'OPERATOR' },
    },
    (request) => {
      const stats = hsm.stats()
      if (request.query.verbose !== undefined) return snakeCased(stats)
      const { maxSize, currentSize, available, inUse } = stats
      return { max_size: maxSize, current_size: currentSize, available, in_use: inUse }
    },
  )
}

/** The same figures under names in the wire's spelling, at every depth. */
function snakeCased(value: object): Record<string, unknown> {
  const entries = Object.entries(value).map(([name, member]: [string, unknown]) => [
    name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    typeof member === 'object' && member !== null ? snakeCased(member) : member,
  ])
  return Object.fromEntries(entries) as Record<string, unknown>
}
