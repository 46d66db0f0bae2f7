import type { Request, Response } from './child.js'

/**
 * The child's side of `startChild`: answers each call by the handler of its name. The process ends when its parent goes, since
 * nothing of what a contender holds needs more than that.
 */
export function serve(handlers: Record<string, (parameters: never) => unknown>): void {
  process.on('message', (request: Request) => {
    void answer(request, handlers).then((response) => process.send?.(response))
  })
  process.on('disconnect', () => process.exit(0))
}

async function answer(
  { id, method, parameters }: Request,
  handlers: Record<string, (parameters: never) => unknown>,
): Promise<Response> {
  try {
    const handler = handlers[method]
    if (handler === undefined) throw new Error(`no handler is named ${method}`)
    return { id, value: await handler(parameters as never) }
  } catch (error) {
    return { id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  }
}
