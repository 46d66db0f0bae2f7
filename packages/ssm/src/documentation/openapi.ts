import swagger from '@fastify/swagger'
import { Type } from 'typebox'
import type { DeclaredAction } from '../auth/actions.js'
import { packageVersion } from '../package-version.js'
import { PROBLEMS } from '../problems/problem.js'
import type { App } from '../routes/routes.js'

const INTRODUCTION = `Keys in an HSM, used over HTTP. Every binary member is hex; an id of 0 means "not given"; what is not as it should be is
answered by a problem (RFC 9457) whose \`error\` says what it is. Every route below \`/crypto\` also answers at the root, where it was before.`

const problem = Type.Object({
  title: Type.String(),
  detail: Type.String({ description: 'what was got, what was expected, and what to do' }),
  status: Type.Integer(),
  instance: Type.String({ description: 'the path of the request' }),
  error: Type.String({ description: `for programs: ${Object.keys(PROBLEMS).join(', ')}` }),
})

const problemAnswer = {
  description: 'a problem',
  content: { 'application/problem+json': { schema: problem } },
}

/** Where nobody has to say who they are. */
const OPEN_TO_ALL: ReadonlySet<DeclaredAction | undefined> = new Set([
  'OPEN',
  'OPERATOR',
  'USER_LOGIN',
  undefined,
] as const)

/** Describes the routes that are added from now on, as `app.swagger()` then tells. */
export function describeRoutes(app: App): void {
  void app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'SSM', description: INTRODUCTION, version: packageVersion() },
      tags: [
        { name: 'data', description: 'encrypt and decrypt' },
        { name: 'keys', description: 'make, store, replace, delete and find keys' },
        { name: 'service', description: 'how the service is' },
      ],
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } },
    },
    transform: ({ schema, url, route }) => {
      const action = route.config?.action
      const needsToken = !OPEN_TO_ALL.has(action)
      return {
        url,
        schema: {
          ...schema,
          response: { ...(schema?.response as object | undefined), default: problemAnswer },
          ...(needsToken && { security: [{ token: [] }] }),
          // everything that is for clients has its place below /crypto
          ...(needsToken && !url.startsWith('/crypto/') && { deprecated: true }),
        },
      }
    },
    transformObject: (document) => {
      if (!('openapiObject' in document)) return document.swaggerObject
      for (const path of ['/crypto/get-all-keys', '/get-all-keys']) {
        const body = document.openapiObject.paths?.[path]?.post?.requestBody
        if (body !== undefined && 'content' in body) body.required = false
      }
      return document.openapiObject
    },
  })
}
