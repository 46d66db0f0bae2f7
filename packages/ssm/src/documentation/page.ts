import { readFile } from 'node:fs/promises'

/**
 * What a browser may do on the page: run and load what comes from here, and ask this service. Swagger UI sets styles in attributes and
 * draws its icons from `data:`.
 */
export const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

export const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>SSM: its routes, to read and to try</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="routes"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`

// Swagger UI asks a validator on the internet about the description unless it is told not to
const START = `SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#routes',
  presets: [SwaggerUIBundle.presets.apis],
  validatorUrl: null,
  tryItOutEnabled: true,
  docExpansion: 'list',
})
`

/** A file of the page. */
export interface PageFile {
  type: string
  content: () => Promise<string | Buffer>
}

/** What the page loads, by name: nothing of it comes from elsewhere. */
export const PAGE_FILES: Readonly<Record<string, PageFile>> = {
  'start.js': { type: 'text/javascript; charset=utf-8', content: () => Promise.resolve(START) },
  'swagger-ui-bundle.js': {
    type: 'text/javascript; charset=utf-8',
    content: packaged(import.meta.resolve('@fastify/swagger-ui/static/swagger-ui-bundle.js')),
  },
  'swagger-ui.css': {
    type: 'text/css; charset=utf-8',
    content: packaged(import.meta.resolve('@fastify/swagger-ui/static/swagger-ui.css')),
  },
}

/** A file of Swagger UI as its package has it, read when it is first asked for. */
function packaged(url: string): () => Promise<Buffer> {
  let content: Promise<Buffer> | undefined
  return () => {
    content ??= readFile(new URL(url))
    return content
  }
}
